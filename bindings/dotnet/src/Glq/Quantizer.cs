using System;
using System.Threading;
using Glq.Interop;

namespace Glq
{
    /// <summary>What to quantize and how. Zero means the default, but for the first three.</summary>
    public sealed unsafe class QuantizerOptions
    {
        /// <summary>Describes a layer.</summary>
        public QuantizerOptions(long inFeatures, long outFeatures, int bits)
        {
            InFeatures = inFeatures;
            OutFeatures = outFeatures;
            Bits = bits;
        }

        internal QuantizerOptions(glq_quantizer_desc desc) : this(desc.in_features, desc.out_features, desc.bits)
        {
            Pow2 = (desc.flags & Constants.GLQ_QUANTIZER_POW2) != 0;
            Seed = (desc.flags & Constants.GLQ_QUANTIZER_HAS_SEED) != 0 ? desc.seed : (uint?)null;
            RefinePasses = desc.refine_passes;
            Scale = (QuantizerScale)desc.scale_mode;
            Damping = desc.damping;
            DampingRht = desc.damping_rht;
            InputScale = desc.input_scale;
            RhoE8P = desc.rho_e8p;
            RhoE81B = desc.rho_e81b;
        }

        /// <summary>Columns of W.</summary>
        public long InFeatures { get; }

        /// <summary>Rows of W.</summary>
        public long OutFeatures { get; }

        /// <summary>2 to 8.</summary>
        public int Bits { get; }

        /// <summary>Pad both dimensions to powers of two, the layout of old checkpoints.</summary>
        public bool Pow2 { get; set; }

        /// <summary>Seed of the sign vectors; null: 42, the seed of existing checkpoints.</summary>
        public uint? Seed { get; set; }

        /// <summary>Coordinate-descent passes after LDLQ, 0 to 100.</summary>
        public int RefinePasses { get; set; }

        /// <summary>How scales are chosen.</summary>
        public QuantizerScale Scale { get; set; }

        /// <summary>Share of the mean diagonal added to the Hessian; 0: 0.01; negative: none.</summary>
        public double Damping { get; set; }

        /// <summary>The same after its rotation.</summary>
        public double DampingRht { get; set; }

        /// <summary>RMS that the rotated weight is scaled to; 0: by <see cref="Scale"/>.</summary>
        public double InputScale { get; set; }

        /// <summary>Residual scale before an E8P stage; 0: by <see cref="Scale"/>.</summary>
        public double RhoE8P { get; set; }

        /// <summary>Residual scale before an E81B stage; 0: by <see cref="Scale"/>.</summary>
        public double RhoE81B { get; set; }

        /// <summary>Peak host memory of such a quantizer, from creation to the end of a run: an upper bound.</summary>
        public long Memory
        {
            get
            {
                GlqLibrary.Load();
                glq_quantizer_desc desc = Native;
                UIntPtr bytes;
                GlqException.Check(NativeMethods.glq_quantizer_memory(&desc, &bytes));
                return (long)bytes;
            }
        }

        internal glq_quantizer_desc Native
        {
            get
            {
                return new glq_quantizer_desc
                {
                    struct_size = (uint)sizeof(glq_quantizer_desc),
                    flags = (Pow2 ? (uint)Constants.GLQ_QUANTIZER_POW2 : 0)
                        | (Seed.HasValue ? (uint)Constants.GLQ_QUANTIZER_HAS_SEED : 0),
                    in_features = InFeatures,
                    out_features = OutFeatures,
                    bits = Bits,
                    refine_passes = RefinePasses,
                    scale_mode = (int)Scale,
                    seed = Seed ?? 0,
                    damping = Damping,
                    damping_rht = DampingRht,
                    input_scale = InputScale,
                    rho_e8p = RhoE8P,
                    rho_e81b = RhoE81B,
                };
            }
        }
    }

    /// <summary>How far a run is.</summary>
    public readonly struct QuantizerProgress
    {
        /// <summary>Makes a report.</summary>
        public QuantizerProgress(long done, long total, string phase)
        {
            Done = done;
            Total = total;
            Phase = phase;
        }

        /// <summary>Work done so far.</summary>
        public long Done { get; }

        /// <summary>All work.</summary>
        public long Total { get; }

        /// <summary>What is being done.</summary>
        public string Phase { get; }
    }

    /// <summary>How good the last finished run was.</summary>
    public sealed unsafe class QuantizerReport
    {
        internal QuantizerReport(glq_quantizer_report report)
        {
            ProxyLoss = report.proxy_loss;
            ProxyLossRelative = report.proxy_loss_relative;
            SqnrDb = report.sqnr_db;
            WeightScale = report.weight_scale;
            Seconds = report.seconds;
            Samples = report.samples;
            DampingRetries = report.damping_retries;
            var scales = new double[report.num_stages];
            for (int i = 0; i < scales.Length; ++i)
            {
                scales[i] = report.cum_inv_scale[i];
            }
            CumInvScale = Array.AsReadOnly(scales);
        }

        /// <summary>Mean over padded rows of d H d^T, d the error in the rotated space.</summary>
        public double ProxyLoss { get; }

        /// <summary>The same divided by the mean of w H w^T.</summary>
        public double ProxyLossRelative { get; }

        /// <summary>10 log10(|W|^2 / |W - What|^2) in the original space.</summary>
        public double SqnrDb { get; }

        /// <summary><c>Wscale</c>.</summary>
        public double WeightScale { get; }

        /// <summary>Scale of each stage.</summary>
        public System.Collections.Generic.IReadOnlyList<double> CumInvScale { get; }

        /// <summary>Time spent in runs, cancelled parts included.</summary>
        public double Seconds { get; }

        /// <summary>Tokens behind the Hessian.</summary>
        public double Samples { get; }

        /// <summary>Extra damping steps the factorisation needed.</summary>
        public int DampingRetries { get; }
    }

    /// <summary>Turns a dense weight and calibration activations into an E8P weight.</summary>
    /// <remarks>One call at a time, on any thread: a call during another, also from a progress receiver, is an
    /// <see cref="InvalidOperationException"/>.</remarks>
    public sealed unsafe class Quantizer : IDisposable
    {
        private int busy;

        /// <summary>Makes a quantizer with an empty Hessian, for one layer or several that share the input.</summary>
        /// <param name="context">Its threads are used, and results are made on its device.</param>
        /// <param name="options">The layer.</param>
        public Quantizer(Context context, QuantizerOptions options)
        {
            if (options == null)
            {
                throw new ArgumentNullException(nameof(options));
            }
            Context = context ?? throw new ArgumentNullException(nameof(context));
            glq_quantizer_desc desc = options.Native;
            int status = NativeMethods.glq_quantizer_create(context.Handle, &desc, out QuantizerHandle handle);
            Handle = Made(status, handle);
        }

        private Quantizer(Context context, QuantizerHandle handle)
        {
            Context = context;
            Handle = handle;
        }

        /// <summary>The context it was made from.</summary>
        public Context Context { get; }

        /// <summary>The reference for the raw interface, <see cref="NativeMethods"/>.</summary>
        public QuantizerHandle Handle { get; }

        /// <summary>What it was made with, in particular one from <see cref="Load"/>.</summary>
        public QuantizerOptions GetOptions()
        {
            var desc = new glq_quantizer_desc { struct_size = (uint)sizeof(glq_quantizer_desc) };
            using (Enter())
            {
                GlqException.Check(NativeMethods.glq_quantizer_get_desc(Handle, &desc));
            }
            return new QuantizerOptions(desc);
        }

        /// <summary>Makes a quantizer from what <see cref="Save"/> returned.</summary>
        public static Quantizer Load(Context context, byte[] state)
        {
            if (state == null)
            {
                throw new ArgumentNullException(nameof(state));
            }
            fixed (byte* bytes = state)
            {
                byte none = 0;
                int status = NativeMethods.glq_quantizer_load(Tensor.HandleOf(context), bytes == null ? &none : bytes,
                                                              (UIntPtr)(uint)state.Length, out QuantizerHandle handle);
                return new Quantizer(context, Made(status, handle));
            }
        }

        /// <summary>Adds x^T x of a batch of activations to the Hessian.</summary>
        /// <param name="x">F16, BF16, F32 or F64 [tokens, in_features] on the host, finite.</param>
        public void AddBatch(View x)
        {
            using (Enter())
            using (x.Hold())
            {
                fixed (byte* pinned = x.Bytes)
                {
                    glq_view native = x.At(pinned);
                    GlqException.Check(NativeMethods.glq_quantizer_add_batch(Handle, &native));
                }
            }
        }

        /// <summary>Replaces the Hessian.</summary>
        /// <param name="hessian">F32 or F64 [in_features, in_features] on the host: the mean of x^T x per
        /// token.</param>
        /// <param name="samples">Tokens it stands for when batches are added to it.</param>
        public void SetHessian(View hessian, double samples)
        {
            using (Enter())
            using (hessian.Hold())
            {
                fixed (byte* pinned = hessian.Bytes)
                {
                    glq_view native = hessian.At(pinned);
                    GlqException.Check(NativeMethods.glq_quantizer_set_hessian(Handle, &native, samples));
                }
            }
        }

        /// <summary>Copies the Hessian out, to merge shards or to keep it.</summary>
        /// <param name="hessian">F32 or F64 [in_features, in_features] on the host.</param>
        /// <returns>Tokens it stands for.</returns>
        public double GetHessian(View hessian)
        {
            double samples;
            using (Enter())
            using (hessian.Hold())
            {
                fixed (byte* pinned = hessian.Bytes)
                {
                    glq_view native = hessian.At(pinned);
                    GlqException.Check(NativeMethods.glq_quantizer_get_hessian(Handle, &native, &samples));
                }
            }
            return samples;
        }

        /// <summary>Quantizes a weight without a bias.</summary>
        public Tensor Run(View weight, IProgress<QuantizerProgress> progress = null,
                          CancellationToken cancellationToken = default, CudaStream stream = default)
        {
            return Run(weight, default, progress, cancellationToken, stream);
        }

        /// <summary>Quantizes a weight. Without a Hessian the identity is used.</summary>
        /// <param name="weight">F16, BF16, F32 or F64 [out_features, in_features] on the host, finite.</param>
        /// <param name="bias">F16, BF16 or F32 [out_features] on the host, stored with the result; default:
        /// none.</param>
        /// <param name="progress">Told how far the run is, on the thread that runs it. It must not call into the
        /// library; what it throws stops the run and is thrown again.</param>
        /// <param name="cancellationToken">Stops the run at the next report.</param>
        /// <param name="stream">Used to put the result on a CUDA context's device; complete on return.</param>
        /// <exception cref="OperationCanceledException">The run was stopped by the token. It keeps what it did: call
        /// again with the same arguments to go on, with the same bytes in the end, or <see cref="Abandon"/>
        /// it.</exception>
        public Tensor Run(View weight, View bias, IProgress<QuantizerProgress> progress = null,
                          CancellationToken cancellationToken = default, CudaStream stream = default)
        {
            var run = new Callbacks.Run { Receiver = progress, Token = cancellationToken };
            void* user = Callbacks.Keep(run);
            try
            {
                using (Enter())
                using (weight.Hold())
                using (bias.Hold())
                {
                    fixed (byte* pinnedWeight = weight.Bytes)
                    fixed (byte* pinnedBias = bias.Bytes)
                    {
                        glq_view nativeWeight = weight.At(pinnedWeight);
                        glq_view nativeBias = bias.At(pinnedBias);
                        int status = NativeMethods.glq_quantizer_run(
                            Handle, stream.Handle, &nativeWeight, bias.DType == DType.None ? null : &nativeBias,
                            Callbacks.Progress, user, out TensorHandle handle);
                        return Outcome(Context, status, handle, run);
                    }
                }
            }
            finally
            {
                Callbacks.Forget(user);
            }
        }

        /// <summary>Forgets a run that was cancelled or failed, so that the next may be of another weight. The Hessian stays.</summary>
        public void Abandon()
        {
            using (Enter())
            {
                GlqException.Check(NativeMethods.glq_quantizer_abandon(Handle));
            }
        }

        /// <summary>The whole state: options, Hessian, the progress of a cancelled or failed run.</summary>
        public byte[] Save()
        {
            using (Enter())
            {
                UIntPtr needed;
                GlqException.Check(NativeMethods.glq_quantizer_save(Handle, null, UIntPtr.Zero, &needed));
                var state = new byte[(long)needed];
                fixed (byte* bytes = state)
                {
                    GlqException.Check(NativeMethods.glq_quantizer_save(Handle, bytes, needed, &needed));
                }
                return state;
            }
        }

        /// <summary>How good the last finished run was.</summary>
        public QuantizerReport GetReport()
        {
            var report = new glq_quantizer_report { struct_size = (uint)sizeof(glq_quantizer_report) };
            using (Enter())
            {
                GlqException.Check(NativeMethods.glq_quantizer_get_report(Handle, &report));
            }
            return new QuantizerReport(report);
        }

        /// <summary>Gives the quantizer up. Tensors it made live on.</summary>
        public void Dispose()
        {
            Handle.Dispose();
        }

        /// <summary>The weight that a run made, or what it throws. What the receiver threw comes first, whatever the
        /// status is.</summary>
        internal static Tensor Outcome(Context context, int status, TensorHandle handle, Callbacks.Run run)
        {
            if (status == Constants.GLQ_OK && run.Error == null)
            {
                return new Tensor(context, handle);
            }
            GlqException error = status == Constants.GLQ_OK ? null : GlqException.Last(status);
            handle.Dispose();
            run.Error?.Throw();
            throw status == Constants.GLQ_E_CANCELLED
                ? new OperationCanceledException(error.Message, error, run.Token)
                : (Exception)error;
        }

        private static QuantizerHandle Made(int status, QuantizerHandle handle)
        {
            if (status != Constants.GLQ_OK)
            {
                GlqException error = GlqException.Last(status);
                handle.Dispose();
                throw error;
            }
            return handle;
        }

        private Turn Enter()
        {
            if (Interlocked.CompareExchange(ref busy, 1, 0) != 0)
            {
                throw new InvalidOperationException("the quantizer is in the middle of another call");
            }
            return new Turn(this);
        }

        private readonly struct Turn : IDisposable
        {
            private readonly Quantizer quantizer;

            internal Turn(Quantizer quantizer)
            {
                this.quantizer = quantizer;
            }

            public void Dispose()
            {
                Volatile.Write(ref quantizer.busy, 0);
            }
        }
    }
}
