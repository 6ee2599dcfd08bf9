using System;
using System.Collections;
using System.Collections.Generic;

// The part of xunit that the tests use, for where the real one is not to be had.
namespace Xunit
{
    [AttributeUsage(AttributeTargets.Method)]
    public class FactAttribute : Attribute
    {
    }

    [AttributeUsage(AttributeTargets.Method)]
    public sealed class TheoryAttribute : FactAttribute
    {
    }

    [AttributeUsage(AttributeTargets.Method)]
    public sealed class MemberDataAttribute : Attribute
    {
        public MemberDataAttribute(string member)
        {
            Member = member;
        }

        public string Member { get; }
    }

    public sealed class AssertException : Exception
    {
        public AssertException(string message) : base(message)
        {
        }
    }

    public static class Assert
    {
        public static void True(bool condition, string message = null)
        {
            if (!condition)
            {
                throw new AssertException(message ?? "expected true");
            }
        }

        public static void False(bool condition, string message = null)
        {
            True(!condition, message ?? "expected false");
        }

        public static void Equal<T>(T expected, T actual)
        {
            if (!Same(expected, actual))
            {
                throw new AssertException("expected " + Show(expected) + ", was " + Show(actual));
            }
        }

        public static void NotEqual<T>(T expected, T actual)
        {
            True(!Same(expected, actual), "did not expect " + Show(expected));
        }

        public static void Null(object thing)
        {
            True(thing == null, "expected null, was " + thing);
        }

        public static void NotNull(object thing)
        {
            True(thing != null, "expected not null");
        }

        public static void NotEmpty(IEnumerable things)
        {
            True(things.GetEnumerator().MoveNext(), "expected not empty");
        }

        public static void Contains(string part, string text)
        {
            True(text != null && text.Contains(part), "expected \"" + part + "\" in \"" + text + "\"");
        }

        public static void InRange<T>(T actual, T low, T high) where T : IComparable
        {
            True(actual.CompareTo(low) >= 0 && actual.CompareTo(high) <= 0, actual + " is not in [" + low + ", "
                + high + "]");
        }

        public static T Throws<T>(Action action) where T : Exception
        {
            return Caught<T>(action, true);
        }

        public static T ThrowsAny<T>(Action action) where T : Exception
        {
            return Caught<T>(action, false);
        }

        private static T Caught<T>(Action action, bool exactly) where T : Exception
        {
            try
            {
                action();
            }
            catch (T error)
            {
                True(!exactly || error.GetType() == typeof(T), "expected " + typeof(T) + ", was " + error);
                return error;
            }
            catch (Exception error)
            {
                throw new AssertException("expected " + typeof(T) + ", was " + error);
            }
            throw new AssertException("expected " + typeof(T) + ", nothing was thrown");
        }

        private static bool Same(object left, object right)
        {
            if (left is string || !(left is IEnumerable) || !(right is IEnumerable))
            {
                return Equals(left, right);
            }
            var first = new List<object>();
            var second = new List<object>();
            foreach (object item in (IEnumerable)left)
            {
                first.Add(item);
            }
            foreach (object item in (IEnumerable)right)
            {
                second.Add(item);
            }
            if (first.Count != second.Count)
            {
                return false;
            }
            for (int i = 0; i < first.Count; ++i)
            {
                if (!Same(first[i], second[i]))
                {
                    return false;
                }
            }
            return true;
        }

        private static string Show(object thing)
        {
            if (thing is string || !(thing is IEnumerable))
            {
                return thing == null ? "null" : thing.ToString();
            }
            var items = new List<string>();
            foreach (object item in (IEnumerable)thing)
            {
                if (items.Count == 8)
                {
                    items.Add("...");
                    break;
                }
                items.Add(Show(item));
            }
            return "[" + string.Join(", ", items) + "]";
        }
    }
}
