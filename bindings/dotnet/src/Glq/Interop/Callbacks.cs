using System;
using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Glq.Interop
{
    /// <summary>What libglq calls back. The delegates live as long as the process, because native objects may outlive
    /// every managed one; their state travels as a GCHandle in the <c>user</c> pointer.</summary>
    internal static unsafe class Callbacks
    {
        private static readonly glq_release_fn ReleaseDelegate = OnRelease;
        private static readonly glq_log_fn LogDelegate = OnLog;
        private static readonly glq_progress_fn ProgressDelegate = OnProgress;

        internal static readonly IntPtr Release = Marshal.GetFunctionPointerForDelegate(ReleaseDelegate);
        internal static readonly IntPtr Log = Marshal.GetFunctionPointerForDelegate(LogDelegate);
        internal static readonly IntPtr Progress = Marshal.GetFunctionPointerForDelegate(ProgressDelegate);

        /// <summary>Keeps an object alive for native code; <see cref="Release"/> or <see cref="Forget"/> ends
        /// that.</summary>
        internal static void* Keep(object state)
        {
            return (void*)GCHandle.ToIntPtr(GCHandle.Alloc(state));
        }

        internal static void Forget(void* user)
        {
            GCHandle.FromIntPtr((IntPtr)user).Free();
        }

        private static object Target(void* user)
        {
            return GCHandle.FromIntPtr((IntPtr)user).Target;
        }

        /// <summary>A glq_release_fn: disposes of what was kept.</summary>
        private static void OnRelease(void* user)
        {
            try
            {
                (Target(user) as IDisposable)?.Dispose();
                Forget(user);
            }
            catch (Exception error)
            {
                Trace.TraceError("glq: a release function failed: {0}", error);
            }
        }

        /// <summary>A glq_log_fn. What the logger throws cannot go through native code and ends here.</summary>
        private static void OnLog(void* user, int level, byte* category, byte* message)
        {
            try
            {
                ((Action<LogLevel, string, string>)Target(user))(
                    (LogLevel)level, Utf8.Read(category), Utf8.Read(message));
            }
            catch (Exception error)
            {
                Trace.TraceError("glq: the logger failed: {0}", error);
            }
        }

        /// <summary>A glq_progress_fn. What the receiver throws stops the run, which throws it again.</summary>
        private static int OnProgress(void* user, long done, long total, byte* phase)
        {
            var run = (Run)Target(user);
            try
            {
                run.Receiver?.Report(new QuantizerProgress(done, total, Utf8.Read(phase)));
                return run.Token.IsCancellationRequested ? 1 : 0;
            }
            catch (Exception error)
            {
                run.Error = ExceptionDispatchInfo.Capture(error);
                return 1;
            }
        }

        /// <summary>The managed side of one quantizer run.</summary>
        internal sealed class Run
        {
            internal IProgress<QuantizerProgress> Receiver;
            internal CancellationToken Token;
            internal ExceptionDispatchInfo Error;
        }
    }
}
