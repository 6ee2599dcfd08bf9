// What the sources use of .NET 8 and Mono's class library lacks, as far as the tests need it. See check.py.
using System;
using System.Reflection;
using System.Runtime.InteropServices;

namespace System.Runtime.CompilerServices
{
    public sealed class DisableRuntimeMarshallingAttribute : Attribute
    {
    }

    public sealed class ModuleInitializerAttribute : Attribute
    {
    }

    public static class Unsafe
    {
        public static ref byte Add(ref byte source, IntPtr bytes)
        {
            Span<byte> all = MemoryMarshal.CreateSpan(ref source, int.MaxValue);
            return ref MemoryMarshal.GetReference(all.Slice((int)bytes));
        }

        public static ref T As<TFrom, T>(ref byte source) where T : struct
        {
            Span<byte> all = MemoryMarshal.CreateSpan(ref source, int.MaxValue);
            return ref MemoryMarshal.GetReference(MemoryMarshal.Cast<byte, T>(all));
        }
    }
}

namespace System.Runtime.InteropServices
{
    public delegate IntPtr DllImportResolver(string libraryName, Assembly assembly, DllImportSearchPath? searchPath);

    public sealed class UnmanagedCallConvAttribute : Attribute
    {
        public Type[] CallConvs;
    }

    /// <summary>By the system's loader; with global symbols, as Mono has no resolver and finds functions so.</summary>
    public static class NativeLibrary
    {
        private const int NowAndGlobal = 0x102;

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlopen(string path, int flags);

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlsym(IntPtr library, string name);

        [DllImport("libdl.so.2")]
        private static extern int dlclose(IntPtr library);

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlerror();

        public static IntPtr Load(string path)
        {
            IntPtr library = dlopen(path, NowAndGlobal);
            if (library == IntPtr.Zero)
            {
                throw new DllNotFoundException(Marshal.PtrToStringAnsi(dlerror()));
            }
            return library;
        }

        public static IntPtr Load(string name, Assembly assembly, DllImportSearchPath? searchPath)
        {
            return Load(name.Contains(".so") ? name : "lib" + name + ".so");
        }

        public static void Free(IntPtr library)
        {
            dlclose(library);
        }

        public static bool TryGetExport(IntPtr library, string name, out IntPtr address)
        {
            address = dlsym(library, name);
            return address != IntPtr.Zero;
        }

        public static void SetDllImportResolver(Assembly assembly, DllImportResolver resolver)
        {
        }
    }
}

namespace Glq
{
    internal static class Net8
    {
        [StructLayout(LayoutKind.Explicit)]
        private struct ArrayPun
        {
            [FieldOffset(0)]
            internal Array Array;

            [FieldOffset(0)]
            internal byte[] Bytes;
        }

        /// <summary>MemoryMarshal.GetArrayDataReference; Mono has the elements of all arrays at one offset.</summary>
        internal static ref byte DataOf(Array array)
        {
            var pun = default(ArrayPun);
            pun.Array = array;
            return ref MemoryMarshal.GetReference(new Span<byte>(pun.Bytes));
        }
    }
}
