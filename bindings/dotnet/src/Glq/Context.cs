using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Threading;
using Glq.Interop;

namespace Glq
{
    /// <summary>How to make a <see cref="Context"/>. All members have defaults.</summary>
    public sealed class ContextOptions
    {
        /// <summary>The device.</summary>
        public Device Device { get; set; } = Device.Cpu;

        /// <summary>Size of the library's own thread pool, up to 1024; 0: <c>GLQ_NUM_THREADS</c> if set, else the
        /// processors available.</summary>
        public int Threads { get; set; }

        /// <summary>Special behaviour.</summary>
        public ContextFlags Flags { get; set; }

        /// <summary>Receives log messages (level, category, line) on the thread of the call that caused them. It must
        /// not call into the library.</summary>
        public Action<LogLevel, string, string> Logger { get; set; }

        /// <summary>The most detailed level that the logger wants.</summary>
        public LogLevel LogLevel { get; set; } = LogLevel.Warning;

        /// <summary>Path to load cuBLASLt from; null: <c>GLQ_CUBLASLT_LIBRARY</c>, one already loaded, or the usual
        /// names.</summary>
        public string CublasLtLibrary { get; set; }
    }

    /// <summary>One device with its kernels and threads. Any number of threads may use it at once.</summary>
    /// <remarks>Tensors and quantizers keep the native context alive: everything may be disposed, or finalized, in any
    /// order.</remarks>
    public sealed unsafe class Context : IDisposable
    {
        // Each thread alone keeps its workspaces, and nothing that refers to the context: both can be finalized.
        private readonly ThreadLocal<ConcurrentDictionary<IntPtr, Workspace>> workspaces;
        private readonly List<ThreadUse> threads = new List<ThreadUse>();

        /// <summary>Makes a context for the CPU.</summary>
        public Context() : this(new ContextOptions())
        {
        }

        /// <summary>Makes a context for a device: <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
        public Context(string device) : this(new ContextOptions { Device = Device.Parse(device) })
        {
        }

        /// <summary>Makes a context.</summary>
        public Context(ContextOptions options)
        {
            if (options == null)
            {
                throw new ArgumentNullException(nameof(options));
            }
            GlqLibrary.Load();
            Device = options.Device;
            using (var scope = new NativeScope())
            {
                var desc = new glq_context_desc { struct_size = (uint)sizeof(glq_context_desc) };
                desc.flags = (uint)options.Flags;
                desc.device = options.Device.Native;
                desc.num_threads = options.Threads;
                desc.cublaslt_library = scope.Text(options.CublasLtLibrary, nameof(options.CublasLtLibrary));
                glq_logger logger = default;
                if (options.Logger != null)
                {
                    logger.log = Callbacks.Log;
                    logger.level = (int)options.LogLevel;
                    logger.user = Callbacks.Keep(options.Logger);
                    desc.logger = &logger;
                    desc.destroyed = Callbacks.Release;
                    desc.destroyed_user = logger.user;
                }
                int status = NativeMethods.glq_context_create(&desc, out ContextHandle handle);
                if (status != Constants.GLQ_OK)
                {
                    GlqException error = GlqException.Last(status);
                    handle.Dispose();
                    if (logger.user != null)
                    {
                        Callbacks.Forget(logger.user);
                    }
                    throw error;
                }
                Handle = handle;
            }
            workspaces = new ThreadLocal<ConcurrentDictionary<IntPtr, Workspace>>(AddThread);
        }

        /// <summary>The device.</summary>
        public Device Device { get; }

        /// <summary>The reference for the raw interface, <see cref="NativeMethods"/>.</summary>
        public ContextHandle Handle { get; }

        /// <summary>What the context found and holds.</summary>
        public ContextInfo GetInfo()
        {
            var info = new glq_context_info { struct_size = (uint)sizeof(glq_context_info) };
            using (new Hold(Handle))
            {
                GlqException.Check(NativeMethods.glq_context_get_info(Handle, &info));
                return new ContextInfo(info);
            }
        }

        /// <summary>Waits until all work queued on the stream is done, then releases what destroyed objects
        /// hold.</summary>
        public void Synchronize(CudaStream stream = default)
        {
            GlqException.Check(NativeMethods.glq_context_synchronize(Handle, stream.Handle));
        }

        /// <summary>Tells, before any weight is loaded, whether and how an operation would run.</summary>
        /// <param name="operation">Which operation.</param>
        /// <param name="inFeatures">K.</param>
        /// <param name="outFeatures">N.</param>
        /// <param name="maxTokens">Largest number of rows of x.</param>
        /// <param name="bits">E8P operations: 2 to 8; otherwise 0.</param>
        /// <param name="x">Activations; None: the operation's natural type.</param>
        /// <param name="y">Output; None: the same.</param>
        /// <param name="math">Arithmetic.</param>
        public OpSupport GetOpSupport(Operation operation, long inFeatures, long outFeatures, long maxTokens,
            int bits = 0,
                                      DType x = DType.None, DType y = DType.None, MathMode math = MathMode.Exact)
        {
            var query = new glq_op_query { struct_size = (uint)sizeof(glq_op_query) };
            query.op = (int)operation;
            query.in_features = inFeatures;
            query.out_features = outFeatures;
            query.max_tokens = maxTokens;
            query.bits = bits;
            query.math_mode = (int)math;
            query.x_dtype = (uint)x;
            query.y_dtype = (uint)y;
            var info = new glq_op_support_info { struct_size = (uint)sizeof(glq_op_support_info) };
            GlqException.Check(NativeMethods.glq_op_support(Handle, &query, &info));
            return new OpSupport(info);
        }

        /// <summary>Copies elements between two views of one shape and type, on any pair of devices of this
        /// context.</summary>
        /// <remarks>Work on a GPU may still be running on return, so arrays and spans, which are pinned for the call
        /// only, are waited for.</remarks>
        public void Copy(View source, View destination, CudaStream stream = default)
        {
            using (source.Hold())
            using (destination.Hold())
            {
                fixed (byte* from = source.Bytes)
                fixed (byte* to = destination.Bytes)
                {
                    glq_view nativeSource = source.At(from);
                    glq_view nativeDestination = destination.At(to);
                    GlqException.Check(NativeMethods.glq_view_copy(Handle, stream.Handle, &nativeSource,
                        &nativeDestination));
                    if (Device.Type != DeviceType.Cpu && (from != null || to != null))
                    {
                        Synchronize(stream);
                    }
                }
            }
        }

        /// <summary>Packs codes into the checkpoint's layout; both views are on the context's device.</summary>
        public void Pack(Codebook codebook, View codes, View packed, CudaStream stream = default)
        {
            Repack(NativeMethods.glq_e8p_pack, codebook, codes, packed, stream);
        }

        /// <summary>Unpacks the checkpoint's layout into codes; the inverse of <see cref="Pack"/>.</summary>
        public void Unpack(Codebook codebook, View packed, View codes, CudaStream stream = default)
        {
            Repack(NativeMethods.glq_e8p_unpack, codebook, packed, codes, stream);
        }

        /// <summary>The codebook as data: 65536 x 8 numbers (four times the weights) for E8P, 256 x 8 (twice) for
        /// E81B.</summary>
        public static sbyte[] GetCodebook(Codebook codebook)
        {
            GlqLibrary.Load();
            long rows = codebook == Codebook.E81B ? 256 : 65536;
            var table = new sbyte[rows * 8];
            View view = View.Of(table, rows, 8);
            fixed (byte* pinned = view.Bytes)
            {
                glq_view native = view.At(pinned);
                GlqException.Check(NativeMethods.glq_e8p_codebook((int)codebook, &native));
            }
            return table;
        }

        /// <summary>Gives the context up. What was made from it goes on working, but for operations on weights, which
        /// are calls on the context, too.</summary>
        public void Dispose()
        {
            Handle.Dispose();
            Free(_ => true);
        }

        /// <inheritdoc/>
        public override string ToString()
        {
            return "Glq.Context(" + Device + (Handle.IsClosed ? ", disposed)" : ")");
        }

        /// <summary>The workspace of this thread and stream, at least so large.</summary>
        internal Workspace ThreadWorkspace(IntPtr stream, long bytes)
        {
            ConcurrentDictionary<IntPtr, Workspace> perStream = workspaces.Value;
            if (!perStream.TryGetValue(stream, out Workspace workspace))
            {
                workspace = new Workspace(Device);
                perStream[stream] = workspace;
            }
            if (workspace.Bytes < bytes)
            {
                workspace.Reserve(this, bytes);
            }
            return workspace;
        }

        /// <summary>A place for the workspaces of this thread. Those of ended threads go now, or when they are
        /// finalized.</summary>
        private ConcurrentDictionary<IntPtr, Workspace> AddThread()
        {
            var perStream = new ConcurrentDictionary<IntPtr, Workspace>();
            Free(use => use.HasEnded);
            lock (threads)
            {
                threads.Add(new ThreadUse(perStream));
            }
            return perStream;
        }

        /// <summary>Frees the workspaces of some threads; outside of the lock, as the library may call the
        /// logger.</summary>
        private void Free(Predicate<ThreadUse> which)
        {
            var found = new List<ThreadUse>();
            lock (threads)
            {
                for (int i = threads.Count - 1; i >= 0; --i)
                {
                    if (which(threads[i]))
                    {
                        found.Add(threads[i]);
                        threads.RemoveAt(i);
                    }
                }
            }
            foreach (ThreadUse use in found)
            {
                use.Free();
            }
        }

        private unsafe delegate int RepackFunction(ContextHandle context, IntPtr stream, int codebook, glq_view* source,
                                                   glq_view* target);

        private void Repack(RepackFunction function, Codebook codebook, View source, View target, CudaStream stream)
        {
            using (source.Hold())
            using (target.Hold())
            {
                fixed (byte* from = source.Bytes)
                fixed (byte* to = target.Bytes)
                {
                    glq_view nativeSource = source.At(from);
                    glq_view nativeTarget = target.At(to);
                    GlqException.Check(function(Handle, stream.Handle, (int)codebook, &nativeSource, &nativeTarget));
                }
            }
        }

        /// <summary>What is known of a thread that uses the context, without keeping either alive.</summary>
        private sealed class ThreadUse
        {
            private readonly WeakReference thread = new WeakReference(Thread.CurrentThread);
            private readonly WeakReference perStream;

            internal ThreadUse(ConcurrentDictionary<IntPtr, Workspace> perStream)
            {
                this.perStream = new WeakReference(perStream);
            }

            internal bool HasEnded => !(thread.Target is Thread living && living.IsAlive);

            internal void Free()
            {
                if (perStream.Target is ConcurrentDictionary<IntPtr, Workspace> kept)
                {
                    foreach (Workspace workspace in kept.Values)
                    {
                        workspace.Dispose();
                    }
                }
            }
        }
    }
}
