using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using Glq.Interop;

namespace Glq
{
    /// <summary>Finds and opens libglq, once, when it is first needed.</summary>
    /// <remarks> The order: <see cref="Path"/> if it was set, else the environment variable <c>GLQ_LIBRARY</c> (either
    /// of these, and no other file); else the copy beside the assembly or in <c>runtimes/linux-x64/native</c>; else
    /// what the runtime and the system find by themselves.
    /// </remarks>
    public static class GlqLibrary
    {
        private static readonly object Gate = new object();
        private static volatile bool loaded;
        private static string path;
        private static IntPtr handle;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate uint VersionFunction();

        /// <summary>The file to load, or that was loaded. Can be set until the library is first needed.</summary>
        /// <exception cref="InvalidOperationException">Another file has been loaded already.</exception>
        public static string Path
        {
            get
            {
                lock (Gate)
                {
                    return path;
                }
            }

            set
            {
                lock (Gate)
                {
                    if (loaded && value != path)
                    {
                        throw new InvalidOperationException(
                            "libglq has already been loaded from " + path + "; it cannot be replaced by " + value);
                    }
                    path = value;
                }
            }
        }

        /// <summary>Version of the loaded library.</summary>
        public static Version Version
        {
            get
            {
                Load();
                return ToVersion(NativeMethods.glq_version());
            }
        }

        /// <summary>How the loaded library was built: one fact a line.</summary>
        public static unsafe string BuildInfo
        {
            get
            {
                Load();
                return Utf8.Read(NativeMethods.glq_build_info());
            }
        }

        internal static IntPtr Handle
        {
            get
            {
                Load();
                return handle;
            }
        }

        /// <summary>Loads the library. Called by itself when the library is first needed.</summary>
        /// <exception cref="GlqLibraryException">It cannot be loaded or is not the right one; the text lists every path
        /// that was tried, with the reason.</exception>
        public static void Load()
        {
            if (loaded)
            {
                return;
            }
            lock (Gate)
            {
                if (loaded)
                {
                    return;
                }
                var tried = new List<KeyValuePair<string, string>>();
                foreach (string candidate in Candidates())
                {
                    string reason = TryOpen(candidate);
                    if (reason == null)
                    {
                        path = candidate;
                        loaded = true;
                        return;
                    }
                    tried.Add(new KeyValuePair<string, string>(candidate, reason));
                }
                throw new GlqLibraryException(tried);
            }
        }

        internal static IEnumerable<string> Candidates()
        {
            string wanted = string.IsNullOrEmpty(path) ? Environment.GetEnvironmentVariable("GLQ_LIBRARY") : path;
            if (!string.IsNullOrEmpty(wanted))
            {
                yield return wanted;
                yield break;
            }
            bool windows = Environment.OSVersion.Platform == PlatformID.Win32NT;
            string name = windows ? "glq.dll" : "libglq.so";
            string folder = AppDomain.CurrentDomain.BaseDirectory;
            yield return System.IO.Path.Combine(folder, name);
            if (!windows)
            {
                yield return System.IO.Path.Combine(folder, "runtimes", "linux-x64", "native", name);
            }
#if NET8_0_OR_GREATER
            yield return "glq";
#endif
            if (!windows)
            {
                yield return "libglq.so.0";
            }
        }

        /// <summary>Opens and checks one candidate; returns null, or why it will not do.</summary>
        internal static string TryOpen(string candidate)
        {
            bool isPath = candidate.IndexOf('/') >= 0 || candidate.IndexOf('\\') >= 0;
            if (isPath && !File.Exists(candidate))
            {
                return "no such file";
            }
            IntPtr library;
            try
            {
                library = NativeLoader.Open(candidate);
            }
            catch (Exception error) when (error is DllNotFoundException || error is BadImageFormatException)
            {
                return error.Message;
            }
            string reason = WrongLibrary(library);
            if (reason != null)
            {
                NativeLoader.Close(library);
                return reason;
            }
#if !NET8_0_OR_GREATER
            NativeLoader.MakeGlobal(candidate);
#endif
            handle = library;
            return null;
        }

        private static string WrongLibrary(IntPtr library)
        {
            IntPtr abi = NativeLoader.Symbol(library, "glq_abi_version");
            IntPtr version = NativeLoader.Symbol(library, "glq_version");
            if (abi == IntPtr.Zero || version == IntPtr.Zero)
            {
                return "not libglq: it has no glq_abi_version or no glq_version";
            }
            uint theirs = Call(version);
            uint theirAbi = Call(abi);
            Version needed = ToVersion(Constants.GLQ_VERSION);
            if (theirAbi != Constants.GLQ_ABI_VERSION)
            {
                return "has ABI version " + theirAbi + " (release " + ToVersion(theirs)
                    + "); this assembly needs ABI version "
                    + Constants.GLQ_ABI_VERSION + " (release " + needed + ")";
            }
            return theirs >= Constants.GLQ_VERSION
                ? null
                : "is release " + ToVersion(theirs) + "; this assembly needs " + needed + " or later";
        }

        private static uint Call(IntPtr function)
        {
            return Marshal.GetDelegateForFunctionPointer<VersionFunction>(function)();
        }

        private static Version ToVersion(uint number)
        {
            return new Version((int)(number / 1000000), (int)(number / 1000 % 1000), (int)(number % 1000));
        }
    }
}
