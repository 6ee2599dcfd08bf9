// What is installed, and a first product with a compressed weight.
//
//     dotnet run [DEVICE]        cpu (default), cuda, cuda:1...
using System;
using Glq;

public static class Program
{
    private const int Out = 256;
    private const int In = 512;
    private const int Tokens = 3;

    public static int Main(string[] arguments)
    {
        using (var context = new Context(arguments.Length > 0 ? arguments[0] : "cpu"))
        using (var host = new Context())
        {
            Console.WriteLine("glq {0} from {1}", GlqLibrary.Version, GlqLibrary.Path);
            Console.WriteLine("CUDA: {0}", CudaInfo.Get().Message);
            Console.WriteLine("using {0}: {1}", context.Device, context.Device.GetInfo().Name);

            // A weight of 256 x 512 at 2 bits, from codes: each 16-bit code stands for eight weights.
            var random = new Random(0);
            var codes = new ushort[Out * In / 8];
            for (int i = 0; i < codes.Length; ++i)
            {
                codes[i] = (ushort)random.Next(65536);
            }
            var packed = new long[codes.Length / 4];
            host.Pack(Codebook.E8P, View.Of(codes, Out, In / 8), View.Of(packed, Out / 16, In / 64, 8, 4));
            var parts = new E8PParts { InFeatures = In, OutFeatures = Out, PaddedIn = In, PaddedOut = Out };
            parts.WeightScale = 0.02;
            parts.Stages.Add(new E8PStage(Codebook.E8P, packed));

            var x = new float[Tokens, In];
            for (int i = 0; i < x.Length; ++i)
            {
                x[i / In, i % In] = (float)(random.NextDouble() * 2 - 1);
            }

            using (Tensor weight = Tensor.CreateE8P(context, parts))
            using (Tensor input = Tensor.CopyOf(context, x)) // on the CPU, x itself would do
            using (Tensor output = Tensor.Empty(context, DType.F32, Tokens, Out))
            using (Tensor expanded = Tensor.Empty(context, DType.F32, Out, In))
            {
                Console.WriteLine(weight);
                weight.FusedLinear(input, output);
                float[] y = output.ToArray<float>();

                // The same with the effective weight, expanded (which the library never needs to do).
                weight.Dequantize(expanded);
                double error = RelativeError(y, x, expanded.ToArray<float>());
                Console.WriteLine("y {0} x {1}, difference to the expanded weight: {2:e1}", Tokens, Out, error);
                return error < 1e-4 ? 0 : 1;
            }
        }
    }

    private static double RelativeError(float[] y, float[,] x, float[] w)
    {
        double difference = 0;
        double size = 0;
        for (int i = 0; i < y.Length; ++i)
        {
            double sum = 0;
            for (int k = 0; k < In; ++k)
            {
                sum += (double)x[i / Out, k] * w[i % Out * In + k];
            }
            difference += (y[i] - sum) * (y[i] - sum);
            size += sum * sum;
        }
        return Math.Sqrt(difference / size);
    }
}
