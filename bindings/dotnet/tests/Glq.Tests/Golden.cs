using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Glq.Tests
{
    /// <summary>The golden arrays of tests/data/golden, by the names of its manifests.</summary>
    public static class Golden
    {
        private static readonly Lazy<Dictionary<string, Entry>> All = new Lazy<Dictionary<string, Entry>>(ReadAll);

        /// <summary>Layers with recorded outputs, such as <c>bd_96x192/b4</c>, as rows of a theory.</summary>
        public static IEnumerable<object[]> Layers => Entries.Keys
            .Where(name => name.EndsWith("/y_exact_f32", StringComparison.Ordinal))
            .Select(name => new object[] { name.Substring(0, name.LastIndexOf('/')) });

        /// <summary>The root of the source tree.</summary>
        public static string Root { get; } = FindRoot();

        private static Dictionary<string, Entry> Entries => All.Value;

        public static string Folder => Path.Combine(Root, "tests", "data", "golden");

        public static bool Has(string name)
        {
            return Entries.ContainsKey(name);
        }

        public static long[] Shape(string name)
        {
            return Entries[name].Shape;
        }

        public static byte[] Bytes(string name)
        {
            Entry entry = Entries[name];
            using (FileStream file = File.OpenRead(Path.Combine(Folder, entry.File)))
            {
                file.Seek(entry.Offset, SeekOrigin.Begin);
                using (var reader = new BinaryReader(file))
                {
                    return reader.ReadBytes(entry.Bytes);
                }
            }
        }

        public static T[] Load<T>(string name) where T : struct
        {
            byte[] bytes = Bytes(name);
            var array = new T[bytes.Length / DTypes.Of<T>().Size()];
            RawBytes.Copy(bytes, array);
            return array;
        }

        /// <summary>W, H or x of a layer; two sets of layers share them.</summary>
        public static string Source(string layer, string name)
        {
            string own = layer.Split('/')[0] + "/" + name;
            return Has(own) ? own : own.Replace("pow2", "bd");
        }

        /// <summary>The parts of a golden layer.</summary>
        public static E8PParts Parts(string layer, bool withBias = false)
        {
            string[] sizes = layer.Split('/')[0].Split('_')[1].Split('x');
            var parts = new E8PParts
            {
                OutFeatures = long.Parse(sizes[0], CultureInfo.InvariantCulture),
                InFeatures = long.Parse(sizes[1], CultureInfo.InvariantCulture),
                WeightScale = Load<float>(layer + "/Wscale")[0],
                Sv = Load<Half>(layer + "/SV"),
                Su = Load<Half>(layer + "/SU"),
                Bias = withBias ? Load<Half>(layer + "/bias") : null,
            };
            for (int stage = 1; stage <= 4; ++stage)
            {
                string number = stage == 1 ? string.Empty : stage.ToString(CultureInfo.InvariantCulture);
                string scale = layer + "/inv_resid_scale" + (stage == 2 ? string.Empty : (stage - 1).ToString());
                foreach (Codebook codebook in new[] { Codebook.E8P, Codebook.E81B })
                {
                    string name = layer + "/Qidxs" + number + "_" + codebook.ToString().ToLowerInvariant();
                    if (Has(name))
                    {
                        parts.Stages.Add(new E8PStage(codebook, E8PPart.FromArray(Load<long>(name), Shape(name)),
                                                      stage == 1 ? 1 : Load<float>(scale)[0]));
                    }
                }
            }
            return parts;
        }

        private static string FindRoot()
        {
            string root = Environment.GetEnvironmentVariable("GLQ_ROOT") ?? AppDomain.CurrentDomain.BaseDirectory;
            while (root != null && !File.Exists(Path.Combine(root, "include", "glq.h")))
            {
                root = Path.GetDirectoryName(root);
            }
            return root ?? throw new DirectoryNotFoundException("set GLQ_ROOT to the root of the source tree");
        }

        private static Dictionary<string, Entry> ReadAll()
        {
            var found = new Dictionary<string, Entry>();
            foreach (string manifest in new[] { "manifest.tsv", "exact.tsv" })
            {
                foreach (string line in File.ReadLines(Path.Combine(Folder, manifest)))
                {
                    string[] cells = line.Split('\t');
                    if (!line.StartsWith("#", StringComparison.Ordinal) && cells.Length == 6)
                    {
                        found[cells[0]] = new Entry
                        {
                            File = cells[1],
                            Offset = long.Parse(cells[2], CultureInfo.InvariantCulture),
                            Bytes = int.Parse(cells[3], CultureInfo.InvariantCulture),
                            Shape = cells[5].Split('x').Select(s => long.Parse(s, CultureInfo.InvariantCulture))
                                .ToArray(),
                        };
                    }
                }
            }
            return found;
        }

        private sealed class Entry
        {
            internal string File;
            internal long Offset;
            internal int Bytes;
            internal long[] Shape;
        }
    }

    /// <summary>Bytes of arrays.</summary>
    public static class RawBytes
    {
        public static unsafe void Copy<T>(byte[] from, T[] to) where T : struct
        {
            View target = View.Of(to);
            fixed (byte* pinned = target.Bytes)
            {
                System.Runtime.InteropServices.Marshal.Copy(from, 0, (IntPtr)pinned, from.Length);
            }
        }

        public static unsafe byte[] Of(Array array)
        {
            View source = View.OfArray(array);
            var bytes = new byte[source.Count * source.DType.Size()];
            fixed (byte* pinned = source.Bytes)
            {
                System.Runtime.InteropServices.Marshal.Copy((IntPtr)pinned, bytes, 0, bytes.Length);
            }
            return bytes;
        }
    }
}
