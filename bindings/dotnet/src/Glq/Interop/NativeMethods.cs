namespace Glq.Interop
{
    public static unsafe partial class NativeMethods
    {
#if NET8_0_OR_GREATER
        /// <summary>What the resolver in <see cref="GlqLibrary"/> answers to.</summary>
        internal const string Library = "glq";
#else
        /// <summary>The process itself: the loader opens libglq with global symbols, so that its file is ours to choose
        /// and not the runtime's.</summary>
        internal const string Library = "__Internal";
#endif
    }
}
