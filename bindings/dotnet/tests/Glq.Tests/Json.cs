using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Glq.Tests
{
    /// <summary>Reads the JSON of bindings/layout: objects, arrays, strings without escapes, integers.</summary>
    public sealed class Json
    {
        private readonly string text;
        private int at;

        private Json(string text)
        {
            this.text = text;
        }

        public static object Parse(string text)
        {
            return new Json(text).Value();
        }

        private char Next()
        {
            while (char.IsWhiteSpace(text[at]) || text[at] == ',' || text[at] == ':')
            {
                ++at;
            }
            return text[at];
        }

        private object Value()
        {
            switch (Next())
            {
                case '{':
                    ++at;
                    var members = new Dictionary<string, object>();
                    while (Next() != '}')
                    {
                        string name = Text();
                        members[name] = Value();
                    }
                    ++at;
                    return members;
                case '[':
                    ++at;
                    var items = new List<object>();
                    while (Next() != ']')
                    {
                        items.Add(Value());
                    }
                    ++at;
                    return items;
                case '"':
                    return Text();
                default:
                    var digits = new StringBuilder();
                    while (char.IsDigit(text[at]) || text[at] == '-')
                    {
                        digits.Append(text[at++]);
                    }
                    return long.Parse(digits.ToString(), CultureInfo.InvariantCulture);
            }
        }

        private string Text()
        {
            int begin = ++at;
            while (text[at] != '"')
            {
                ++at;
            }
            return text.Substring(begin, at++ - begin);
        }
    }
}
