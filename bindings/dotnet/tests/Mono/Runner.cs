using System;
using System.Collections;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Runs every test here and prints what starts and how it ended; the last line is "PASSED FAILED".</summary>
    public static class Runner
    {
        private static int passed;
        private static int failed;

        public static int Main(string[] arguments)
        {
            foreach (Type type in Assembly.GetExecutingAssembly().GetTypes().OrderBy(type => type.Name))
            {
                foreach (MethodInfo method in type.GetMethods().Where(
                    m => m.GetCustomAttribute<FactAttribute>() != null))
                {
                    if (arguments.Length == 0 || (type.Name + "." + method.Name).Contains(arguments[0]))
                    {
                        RunAll(type, method);
                    }
                }
            }
            Console.WriteLine(passed + " " + failed);
            return failed == 0 ? 0 : 1;
        }

        private static void RunAll(Type type, MethodInfo method)
        {
            Console.WriteLine("run  {0}.{1}", type.Name, method.Name);
            var clock = Stopwatch.StartNew();
            int before = failed;
            var data = method.GetCustomAttribute<MemberDataAttribute>();
            if (data == null)
            {
                RunOne(type, method, new object[0]);
            }
            else
            {
                PropertyInfo property = type.GetProperty(data.Member, BindingFlags.Public | BindingFlags.Static);
                foreach (object[] row in (IEnumerable)property.GetValue(null))
                {
                    RunOne(type, method, row);
                }
            }
            Console.WriteLine("{0} {1}.{2} ({3} ms)", failed == before ? "ok  " : "FAIL", type.Name, method.Name,
                              clock.ElapsedMilliseconds);
        }

        private static void RunOne(Type type, MethodInfo method, object[] row)
        {
            try
            {
                object instance = Activator.CreateInstance(type);
                try
                {
                    method.Invoke(instance, row);
                }
                finally
                {
                    (instance as IDisposable)?.Dispose();
                }
                ++passed;
            }
            catch (Exception error)
            {
                ++failed;
                Console.WriteLine("  {0}.{1}({2}): {3}", type.Name, method.Name, string.Join(", ", row),
                                  error is TargetInvocationException ? error.InnerException : error);
            }
        }
    }
}
