using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using Glq.Interop;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Structs, constants and functions against bindings/layout/layout.json, which a C compiler
    /// wrote.</summary>
    public class LayoutTests
    {
        private static readonly Dictionary<string, object> Layout = (Dictionary<string, object>)Json.Parse(
            File.ReadAllText(Path.Combine(Golden.Root, "bindings", "layout", "layout.json")));

        public static IEnumerable<object[]> Structs => Members("structs").Select(entry => new object[] { entry.Key });

        internal static IEnumerable<string> Functions => ((List<object>)Layout["functions"]).Cast<string>();

        [Theory]
        [MemberData(nameof(Structs))]
        public void StructHasTheLayoutOfTheCompiler(string name)
        {
            Type type = typeof(glq_view).Assembly.GetType("Glq.Interop." + name);
            Assert.NotNull(type);
            var expected = (Dictionary<string, object>)Members("structs")[name];
            Assert.Equal((int)(long)expected["size"], Marshal.SizeOf(type));
            var fields = (Dictionary<string, object>)expected["fields"];
            int known = 0;
            foreach (KeyValuePair<string, object> field in fields)
            {
                var numbers = (Dictionary<string, object>)field.Value;
                // An array of pointers is as many fields, named with a number.
                string first = type.GetField(field.Key) != null ? field.Key : field.Key + "0";
                Assert.Equal((long)numbers["offset"], (long)Marshal.OffsetOf(type, first));
                known += type.GetFields().Count(f => f.Name == field.Key
                    || f.Name.TrimEnd("0123".ToCharArray()) == field.Key);
            }
            Assert.Equal(type.GetFields().Length, known);
        }

        [Fact]
        public void EveryStructIsChecked()
        {
            IEnumerable<string> ours = typeof(glq_view).Assembly.GetTypes()
                .Where(type => type.IsValueType && type.Name.StartsWith("glq_", StringComparison.Ordinal)).Select(
                    t => t.Name);
            Assert.Equal(Members("structs").Keys.OrderBy(n => n, StringComparer.Ordinal).ToArray(),
                         ours.OrderBy(n => n, StringComparer.Ordinal).ToArray());
        }

        [Fact]
        public void ConstantsHaveTheValuesOfTheCompiler()
        {
            Dictionary<string, object> expected = Members("constants");
            FieldInfo[] ours = typeof(Constants).GetFields(BindingFlags.Public | BindingFlags.Static);
            Assert.Equal(expected.Count, ours.Length);
            foreach (FieldInfo constant in ours)
            {
                Assert.Equal((long)expected[constant.Name], Convert.ToInt64(constant.GetRawConstantValue()));
            }
        }

        [Fact]
        public void FunctionsAreThoseOfTheHeader()
        {
            IEnumerable<string> ours = typeof(NativeMethods).GetMethods(BindingFlags.Public | BindingFlags.Static)
                .Select(method => method.Name).Where(name => name.StartsWith("glq_", StringComparison.Ordinal));
            Assert.Equal(Functions.OrderBy(n => n, StringComparer.Ordinal).ToArray(),
                         ours.OrderBy(n => n, StringComparer.Ordinal).ToArray());
        }

        [Fact]
        public void EnumerationsFollowTheConstants()
        {
            Assert.Equal(Constants.GLQ_E_WORKSPACE_TOO_SMALL, (int)Status.WorkspaceTooSmall);
            Assert.Equal(Constants.GLQ_DTYPE_BF16, (uint)DType.BF16);
            Assert.Equal(2, DType.BF16.Size());
            Assert.Equal(8, DType.F64.Size());
            Assert.Equal(DType.F16, DTypes.Of<Half>());
        }

        private static Dictionary<string, object> Members(string kind)
        {
            return (Dictionary<string, object>)Layout[kind];
        }
    }
}
