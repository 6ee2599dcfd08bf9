using System;
using System.Collections.Generic;
using System.Runtime.ExceptionServices;
using System.Threading;
using Glq.Interop;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Progress, cancellation, what a receiver may not do.</summary>
    public class QuantizerTests : IDisposable
    {
        private const int Rows = 96;
        private const int Columns = 192;

        private readonly float[] weight = Fixture.Random(Rows * Columns);
        private readonly Quantizer quantizer;

        public QuantizerTests()
        {
            quantizer = new Quantizer(Fixture.Context, new QuantizerOptions(Columns, Rows, 4) { RefinePasses = 2 });
        }

        public void Dispose()
        {
            quantizer.Dispose();
        }

        [Fact]
        public void ProgressGoesFromNothingToAll()
        {
            var reports = new List<QuantizerProgress>();
            quantizer.Run(View.Of(weight, Rows, Columns), new Receiver(reports.Add)).Dispose();
            Assert.True(reports.Count > 1);
            QuantizerProgress last = reports[reports.Count - 1];
            Assert.Equal(last.Total, last.Done);
            Assert.NotEmpty(last.Phase);
            for (int i = 1; i < reports.Count; ++i)
            {
                Assert.True(reports[i].Done >= reports[i - 1].Done);
            }
        }

        [Fact]
        public void CancelledRunGoesOnWithTheSameBytes()
        {
            Array expected;
            using (Tensor whole = quantizer.Run(View.Of(weight, Rows, Columns)))
            {
                expected = whole.Export().Stages[1].Indices.Array;
            }
            int rounds = 0;
            byte[] state = null;
            while (rounds < 3)
            {
                using (var source = new CancellationTokenSource())
                {
                    int left = 2 + rounds;
                    var error = Assert.Throws<OperationCanceledException>(() => quantizer.Run(
                        View.Of(weight, Rows, Columns), new Receiver(_ => Countdown(ref left, source)), source.Token));
                    Assert.Equal(source.Token, error.CancellationToken);
                    Assert.Equal(Status.Cancelled, ((GlqException)error.InnerException).Status);
                    Assert.Equal("glq_quantizer_run", ((GlqException)error.InnerException).Function);
                }
                state = quantizer.Save();
                ++rounds;
            }
            using (Quantizer resumed = Quantizer.Load(Fixture.Context, state))
            using (Tensor made = resumed.Run(View.Of(weight, Rows, Columns)))
            {
                Assert.Equal(expected, made.Export().Stages[1].Indices.Array);
            }
            float[] other = Fixture.Random(Rows * Columns, 9);
            Assert.Equal(Status.WrongState, Assert.Throws<GlqArgumentException>(
                () => quantizer.Run(View.Of(other, Rows, Columns))).Status);
            quantizer.Abandon();
            quantizer.Run(View.Of(other, Rows, Columns)).Dispose();
        }

        [Fact]
        public void WhatTheReceiverThrowsComesOutOfTheRun()
        {
            var thrown = new FormatException("from the receiver");
            var caught = Assert.Throws<FormatException>(
                () => quantizer.Run(View.Of(weight, Rows, Columns), new Receiver(_ => throw thrown)));
            Assert.True(ReferenceEquals(thrown, caught));
            quantizer.Run(View.Of(weight, Rows, Columns)).Dispose();
        }

        [Fact]
        public void WhatTheReceiverThrowsAtTheLastReportComesOutToo()
        {
            using (var context = new Context(new ContextOptions { Threads = 1 }))
            {
                long before = context.GetInfo().HostBytes;
                using (var own = new Quantizer(context, new QuantizerOptions(Columns, Rows, 2)))
                using (var source = new CancellationTokenSource())
                {
                    for (int round = 0; round < 2; ++round)
                    {
                        var caught = Assert.Throws<FormatException>(
                            () => own.Run(View.Of(weight, Rows, Columns), new Receiver(FailAtTheEnd)));
                        Assert.Contains(nameof(FailAtTheEnd), caught.StackTrace);
                    }
                    var receiver = new Receiver(report => CancelAtTheEnd(report, source));
                    Assert.Throws<OperationCanceledException>(
                        () => own.Run(View.Of(weight, Rows, Columns), receiver, source.Token));
                    own.Run(View.Of(weight, Rows, Columns)).Dispose();
                }
                Assert.Equal(before, context.GetInfo().HostBytes);
            }
        }

        [Fact]
        public void WhatTheReceiverThrewIsThrownWhateverTheStatus()
        {
            foreach (int status in new[] { Constants.GLQ_OK, Constants.GLQ_E_CANCELLED })
            {
                // The library stops the run of such a report, so the two only come together if it did not.
                Tensor made = Tensor.CopyOf(Fixture.Context, new float[4]);
                var run = new Callbacks.Run();
                try
                {
                    FailAtTheEnd(new QuantizerProgress(1, 1, "made"));
                }
                catch (FormatException error)
                {
                    run.Error = ExceptionDispatchInfo.Capture(error);
                }
                var caught = Assert.Throws<FormatException>(
                    () => Quantizer.Outcome(Fixture.Context, status, made.Handle, run));
                Assert.Contains(nameof(FailAtTheEnd), caught.StackTrace);
                Assert.True(made.Handle.IsClosed, "the weight is kept");
            }
        }

        [Fact]
        public void ReceiverCannotUseTheQuantizer()
        {
            Assert.Throws<InvalidOperationException>(
                () => quantizer.Run(View.Of(weight, Rows, Columns), new Receiver(_ => quantizer.Save())));
        }

        private static void FailAtTheEnd(QuantizerProgress report)
        {
            if (report.Done == report.Total)
            {
                throw new FormatException("from the receiver");
            }
        }

        private static void CancelAtTheEnd(QuantizerProgress report, CancellationTokenSource source)
        {
            if (report.Done == report.Total)
            {
                source.Cancel();
            }
        }

        private static void Countdown(ref int left, CancellationTokenSource source)
        {
            if (--left == 0)
            {
                source.Cancel();
            }
        }

        private sealed class Receiver : IProgress<QuantizerProgress>
        {
            private readonly Action<QuantizerProgress> action;

            internal Receiver(Action<QuantizerProgress> action)
            {
                this.action = action;
            }

            public void Report(QuantizerProgress value)
            {
                action(value);
            }
        }
    }
}
