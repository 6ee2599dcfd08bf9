// Time of one call of the smallest fused linear (16 x 64, one token, one thread), through each layer of the binding.
//
//     CallOverhead [CALLS]
using System;
using System.Diagnostics;
using Glq;
using Glq.Interop;

public static unsafe class Program
{
    private const int Repetitions = 7;

    public static void Main(string[] arguments)
    {
        int calls = arguments.Length > 0 ? int.Parse(arguments[0]) : 200000;
        using (var context = new Context(new ContextOptions { Threads = 1 }))
        using (Tensor weight = MakeWeight(context))
        using (Tensor dense = Tensor.CopyOf(context, new float[64]))
        using (Tensor result = Tensor.Empty(context, DType.F32, 16))
        using (var workspace = new Workspace(context, weight.FusedLinearWorkspace(1)))
        using (var scratch = Tensor.Empty(context, DType.U8, workspace.Bytes + 256))
        {
            var x = new float[64];
            var y = new float[16];
            glq_view nativeX;
            glq_view nativeY;
            glq_view bytes;
            NativeMethods.glq_tensor_view(dense.Handle, &nativeX);
            NativeMethods.glq_tensor_view(result.Handle, &nativeY);
            NativeMethods.glq_tensor_view(scratch.Handle, &bytes);
            var space = new glq_workspace
            {
                data = (void*)(((long)bytes.data + 255) / 256 * 256), bytes = (UIntPtr)(ulong)workspace.Bytes,
            };
            glq_view* px = &nativeX;
            glq_view* py = &nativeY;
            glq_workspace* pw = &space;

            Report("an empty call (glq_abi_version)", calls, () => NativeMethods.glq_abi_version());
            Report("NativeMethods.glq_fused_linear_e8p", calls, () => NativeMethods.glq_fused_linear_e8p(
                context.Handle, IntPtr.Zero, weight.Handle, px, py, pw, null));
            Report("Tensor.FusedLinear, arrays, own workspace", calls, () => weight.FusedLinear(x, y, workspace));
            Report("Tensor.FusedLinear, arrays", calls, () => weight.FusedLinear(x, y));
            Report("Tensor.FusedLinear, tensors", calls, () => weight.FusedLinear(dense, result, workspace));
        }
    }

    private static void Report(string what, int calls, Action call)
    {
        double best = double.PositiveInfinity;
        for (int repetition = 0; repetition < Repetitions; ++repetition)
        {
            var clock = Stopwatch.StartNew();
            for (int i = 0; i < calls; ++i)
            {
                call();
            }
            best = Math.Min(best, clock.Elapsed.TotalMilliseconds * 1e6 / calls);
        }
        Console.WriteLine("{0,-45} {1,7:f0} ns", what, best);
    }

    private static Tensor MakeWeight(Context context)
    {
        var parts = new E8PParts { InFeatures = 64, OutFeatures = 16, PaddedIn = 64, PaddedOut = 16 };
        parts.Stages.Add(new E8PStage(Codebook.E8P, new long[32]));
        return Tensor.CreateE8P(context, parts);
    }
}
