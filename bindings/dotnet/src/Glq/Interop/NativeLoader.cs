using System;
using System.Runtime.InteropServices;
#if NET8_0_OR_GREATER
using System.Reflection;
using System.Runtime.CompilerServices;
#endif

namespace Glq.Interop
{
    /// <summary>What differs between the runtimes in opening a shared library.</summary>
    internal static class NativeLoader
    {
#if NET8_0_OR_GREATER
        // A module initializer is the only place that is sure to run before the first call into the library.
#pragma warning disable CA2255
        [ModuleInitializer]
        internal static void Install()
        {
            NativeLibrary.SetDllImportResolver(typeof(NativeMethods).Assembly, Resolve);
        }
#pragma warning restore CA2255

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? paths)
        {
            return name == NativeMethods.Library ? GlqLibrary.Handle : IntPtr.Zero;
        }

        /// <summary>Opens a library: a path, or a name that the runtime probes for. Throws with the system's
        /// reason.</summary>
        internal static IntPtr Open(string path)
        {
            return path.IndexOf('/') >= 0 || path.IndexOf('\\') >= 0
                ? NativeLibrary.Load(path)
                : NativeLibrary.Load(path, typeof(NativeMethods).Assembly,
                                     DllImportSearchPath.AssemblyDirectory | DllImportSearchPath.SafeDirectories);
        }

        internal static void Close(IntPtr library)
        {
            NativeLibrary.Free(library);
        }

        internal static IntPtr Symbol(IntPtr library, string name)
        {
            return NativeLibrary.TryGetExport(library, name, out IntPtr address) ? address : IntPtr.Zero;
        }
#else
        private const int LoadNow = 2;
        private const int LoadGlobal = 0x100;

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlopen(string path, int flags);

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlsym(IntPtr library, string name);

        [DllImport("libdl.so.2")]
        private static extern int dlclose(IntPtr library);

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlerror();

        /// <summary>Opens a library: a path, or a name that the system searches for. Throws with the system's
        /// reason.</summary>
        internal static IntPtr Open(string path)
        {
            // Mono looks for what is declared as "__Internal" among the global symbols. So that one that turns out to
            // be the wrong library leaves none behind, it is made global only once it has been checked; see MakeGlobal.
            IntPtr library = dlopen(path, LoadNow);
            if (library == IntPtr.Zero)
            {
                throw new DllNotFoundException(Marshal.PtrToStringAnsi(dlerror()));
            }
            return library;
        }

        internal static void MakeGlobal(string path)
        {
            dlopen(path, LoadNow | LoadGlobal);
        }

        internal static void Close(IntPtr library)
        {
            dlclose(library);
        }

        internal static IntPtr Symbol(IntPtr library, string name)
        {
            return dlsym(library, name);
        }
#endif
    }
}
