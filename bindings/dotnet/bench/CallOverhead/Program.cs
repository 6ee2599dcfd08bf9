// Time of the smallest fused linear (16 x 64, one thread) through each layer of the binding, of 0 tokens (all checks,
// no work) and of one. A line is: binding, call, tokens, nanoseconds.
//
//     CallOverhead [CALLS]
using System;
using System.Diagnostics;
using System.Globalization;
using Glq;
using Glq.Interop;

public static unsafe class Program
{
    private const int Repetitions = 100;

#if NET8_0_OR_GREATER
    private const string Runtime = ".NET";
#else
    private const string Runtime = ".NET (Mono)";
#endif

    public static void Main(string[] arguments)
    {
        int calls = arguments.Length > 0 ? int.Parse(arguments[0]) : 20000;
        using (var context = new Context(new ContextOptions { Threads = 1 }))
        using (Tensor weight = MakeWeight(context))
        using (var workspace = new Workspace(context, weight.FusedLinearWorkspace(1)))
        using (var scratch = Tensor.Empty(context, DType.U8, workspace.Bytes + 256))
        {
            Report("glq_abi_version", "", calls, () => NativeMethods.glq_abi_version());
            for (int tokens = 0; tokens <= 1; ++tokens)
            {
                Measure(tokens, calls, context, weight, workspace, scratch);
            }
        }
    }

    private static void Measure(int tokens, int calls, Context context, Tensor weight, Workspace workspace,
                                Tensor scratch)
    {
        var x = new float[tokens, 64];
        var y = new float[tokens, 16];
        using (Tensor dense = Tensor.CopyOf(context, x))
        using (Tensor result = Tensor.Empty(context, DType.F32, tokens, 16))
        {
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
            string rows = tokens.ToString();
            Report("NativeMethods.glq_fused_linear_e8p, structs reused", rows, calls,
                   () => NativeMethods.glq_fused_linear_e8p(context.Handle, IntPtr.Zero, weight.Handle, px, py, pw,
                                                            null));
            Report("Tensor.FusedLinear(array, array, workspace)", rows, calls,
                   () => weight.FusedLinear(x, y, workspace));
            Report("Tensor.FusedLinear(array, array)", rows, calls, () => weight.FusedLinear(x, y));
            Report("Tensor.FusedLinear(tensor, tensor, workspace)", rows, calls,
                   () => weight.FusedLinear(dense, result, workspace));
        }
    }

    private static void Report(string what, string tokens, int calls, Action call)
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
        Console.WriteLine(string.Format(
            CultureInfo.InvariantCulture, "{0}\t{1}\t{2}\t{3:f1}", Runtime, what, tokens, best));
    }

    private static Tensor MakeWeight(Context context)
    {
        var parts = new E8PParts { InFeatures = 64, OutFeatures = 16, PaddedIn = 64, PaddedOut = 16 };
        parts.Stages.Add(new E8PStage(Codebook.E8P, new long[32]));
        return Tensor.CreateE8P(context, parts);
    }
}
