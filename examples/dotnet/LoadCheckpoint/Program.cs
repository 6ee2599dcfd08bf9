// Opens a checkpoint, lists its layers and runs one token through each.
//
//     dotnet run PATH [DEVICE]        a .safetensors file, an index, or a folder with one
using System;
using System.Linq;
using Glq;

public static class Program
{
    public static int Main(string[] arguments)
    {
        if (arguments.Length == 0)
        {
            Console.Error.WriteLine("usage: LoadCheckpoint PATH [DEVICE]");
            return 2;
        }
        try
        {
            using (var context = new Context(arguments.Length > 1 ? arguments[1] : "cpu"))
            using (Checkpoint file = Checkpoint.Open(arguments[0]))
            {
                foreach (string layer in file.LayerNames)
                {
                    using (Tensor weight = file.Load(layer, context))
                    {
                        Console.WriteLine("{0}: {1} bits, {2} x {3}, |y| = {4:f4}", layer, weight.E8P.Bits,
                                          weight.E8P.OutFeatures, weight.E8P.InFeatures, RunOnes(weight));
                    }
                }
                foreach (string name in file.TensorNames.Where(name => !file.LayerNames.Any(name.StartsWith)))
                {
                    View view = file.GetTensor(name);
                    Console.WriteLine("{0}: {1} {2}, mapped", name, view.DType, string.Join(" x ", view.Shape));
                }
            }
            return 0;
        }
        catch (GlqException error)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    /// <summary>Mean size of the outputs for an input of ones.</summary>
    private static double RunOnes(Tensor weight)
    {
        float[] ones = Enumerable.Repeat(1f, (int)weight.E8P.InFeatures).ToArray();
        using (Tensor x = Tensor.CopyOf(weight.Context, ones)) // on the CPU, the array itself would do
        using (Tensor y = Tensor.Empty(weight.Context, DType.F32, weight.E8P.OutFeatures))
        {
            weight.FusedLinear(x, y);
            float[] result = y.ToArray<float>();
            if (result.Any(value => float.IsNaN(value) || float.IsInfinity(value)))
            {
                throw new InvalidOperationException("the output is not finite");
            }
            return result.Average(value => Math.Abs(value));
        }
    }
}
