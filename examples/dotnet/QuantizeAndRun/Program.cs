// Quantizes a layer with calibration data and runs it: 2, 3 and 4 bits.
using System;
using Glq;

public static class Program
{
    private const int Out = 384;
    private const int In = 512;
    private const int Calibration = 2048;
    private const int Tokens = 16;
    private static readonly Random Random = new Random(1);

    public static int Main()
    {
        // A layer, and inputs whose features differ in size, as those of real networks do.
        float[,] w = Matrix(Out, In, k => 1 / Math.Sqrt(In));
        float[,] calibration = Matrix(Calibration, In, k => Math.Exp(-k / 64.0));
        float[,] x = Matrix(Tokens, In, k => Math.Exp(-k / 64.0));
        float[,] y = Product(x, w);

        double before = double.PositiveInfinity;
        using (var context = new Context())
        {
            foreach (int bits in new[] { 2, 3, 4 })
            {
                var options = new QuantizerOptions(In, Out, bits) { RefinePasses = 2, Scale = QuantizerScale.Search };
                using (var quantizer = new Quantizer(context, options))
                {
                    for (int batch = 0; batch < 4; ++batch) // as many batches as you like
                    {
                        quantizer.AddBatch(View.OfArray(calibration).Rows(batch * Calibration / 4, Calibration / 4));
                    }
                    using (Tensor weight = quantizer.Run(w, new Progress()))
                    {
                        var compressed = new float[Tokens, Out];
                        weight.FusedLinear(x, compressed);
                        double error = RelativeError(compressed, y);
                        Console.WriteLine("bits={0} bytes={1} sqnr_db={2:f2} output_error={3:f4}", bits,
                                          weight.E8P.PackedBytes, quantizer.GetReport().SqnrDb, error);

                        var one = new float[Out]; // a token alone gives the same bytes as in any batch
                        weight.FusedLinear(View.OfArray(x).Rows(3, 1), View.Of(one, 1, Out));
                        if (one[7] != compressed[3, 7] || error >= before)
                        {
                            return 1;
                        }
                        before = error;
                    }
                }
            }
        }
        return 0;
    }

    private static float[,] Matrix(int rows, int columns, Func<int, double> scale)
    {
        var matrix = new float[rows, columns];
        for (int i = 0; i < matrix.Length; ++i)
        {
            double size = Math.Sqrt(-2 * Math.Log(1 - Random.NextDouble()));
            double normal = size * Math.Cos(2 * Math.PI * Random.NextDouble());
            matrix[i / columns, i % columns] = (float)(normal * scale(i % columns));
        }
        return matrix;
    }

    private static float[,] Product(float[,] x, float[,] w)
    {
        var y = new float[Tokens, Out];
        for (int i = 0; i < Tokens * Out * In; ++i)
        {
            y[i / In / Out, i / In % Out] += x[i / In / Out, i % In] * w[i / In % Out, i % In];
        }
        return y;
    }

    private static double RelativeError(float[,] actual, float[,] expected)
    {
        double difference = 0;
        double size = 0;
        for (int i = 0; i < expected.Length; ++i)
        {
            difference += Math.Pow(actual[i / Out, i % Out] - expected[i / Out, i % Out], 2);
            size += Math.Pow(expected[i / Out, i % Out], 2);
        }
        return Math.Sqrt(difference / size);
    }

    private sealed class Progress : IProgress<QuantizerProgress>
    {
        public void Report(QuantizerProgress p)
        {
            Console.Error.Write("\r{0,-12} {1,4:p0} ", p.Phase, (double)p.Done / p.Total);
        }
    }
}
