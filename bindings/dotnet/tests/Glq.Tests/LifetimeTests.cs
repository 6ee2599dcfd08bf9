using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.CompilerServices;
using System.Threading;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Objects that are dropped, disposed and finalized in any order, on any thread.</summary>
    public class LifetimeTests
    {
        [Fact]
        public void EverythingOutlivesWhatItWasMadeFrom()
        {
            Tensor weight;
            var context = new Context();
            using (Checkpoint file = Checkpoint.Open(Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag")))
            {
                weight = file.Load(file.LayerNames[0], context);
            }
            Tensor dense = Tensor.CopyOf(context, new float[] { 1, 2 });
            context.Dispose();
            Assert.Equal(2L, dense.View.Count);
            Assert.True(weight.E8P.InFeatures > 0);
            weight.Dispose();
            dense.Dispose();
            dense.Dispose();
            context.Dispose();
        }

        [Fact]
        public void BorrowedMemoryStaysInPlaceUntilTheTensorIsGone()
        {
            WeakReference memory = Borrow(out Tensor lent, out IntPtr exported);
            Collect();
            Assert.True(memory.IsAlive, "the array went while it was lent");
            using (Tensor imported = Tensor.ImportDLPack(Fixture.Context, exported))
            {
                lent.Dispose();
                Collect();
                Assert.True(memory.IsAlive, "the array went while it was lent on");
                Assert.Equal(4f, imported.ToArray<float>()[1]);
            }
            for (int i = 0; i < 10 && memory.IsAlive; ++i)
            {
                OnAnotherThread(Collect);
            }
            Assert.False(memory.IsAlive, "the array is kept for ever");
        }

        [Fact]
        public void OwnersOfBorrowedMemoryAreDisposed()
        {
            var owner = new Owner();
            Tensor lent = Tensor.Borrow(Fixture.Context, View.FromPointer(owner.Memory, DType.F32, Device.Cpu,
                new long[] { 4 }),
                                        owner);
            Tensor second = lent.Share();
            lent.Dispose();
            Assert.False(owner.IsDisposed);
            second.Dispose();
            Assert.True(owner.IsDisposed);
        }

        [Fact]
        public void ViewKeepsItsTensorDuringCallsOnly()
        {
            Tensor dense = Tensor.CopyOf(Fixture.Context, new float[] { 1, 2 });
            View view = dense.View;
            dense.Dispose();
            bool thrown = false;
            try
            {
                view.ToArray<float>();
            }
            catch (ObjectDisposedException)
            {
                thrown = true;
            }
            Assert.True(thrown, "a view of a disposed tensor could be used");
        }

        [Fact]
        public void LoggerLivesAsLongAsTheContextAndNoLonger()
        {
            var lines = new List<string>();
            WeakReference logger = UseLogger(lines);
            Assert.NotEmpty(lines);
            for (int i = 0; i < 10 && logger.IsAlive; ++i)
            {
                OnAnotherThread(Collect);
            }
            Assert.False(logger.IsAlive, "the logger is kept for ever");
        }

        [Fact]
        public void WorkspacesOfEndedThreadsGoWithTheNextThread()
        {
            using (var context = new Context(new ContextOptions { Threads = 1 }))
            using (Tensor weight = Fixture.Weight(context))
            {
                long before = context.GetInfo().HostBytes;
                OnAnotherThread(() => Use(weight));
                long one = context.GetInfo().HostBytes - before;
                Assert.True(one > 0);
                for (int i = 0; i < 100; ++i)
                {
                    OnAnotherThread(() => Use(weight));
                    Assert.InRange(context.GetInfo().HostBytes - before, 0, 2 * one);
                }
                Use(weight);
                Assert.InRange(context.GetInfo().HostBytes - before, one, 2 * one);
            }
        }

        [Fact]
        public void WorkspacesOfEndedThreadsAreFinalized()
        {
            const int Threads = 40;
            using (var context = new Context(new ContextOptions { Threads = 1 }))
            using (Tensor weight = Fixture.Weight(context))
            {
                long before = context.GetInfo().HostBytes;
                long all;
                using (var end = new ManualResetEventSlim())
                using (var used = new CountdownEvent(Threads))
                {
                    var threads = new Thread[Threads];
                    for (int i = 0; i < Threads; ++i)
                    {
                        threads[i] = new Thread(() =>
                        {
                            Use(weight);
                            used.Signal();
                            end.Wait();
                        });
                        threads[i].Start();
                    }
                    used.Wait();
                    all = context.GetInfo().HostBytes - before;
                    end.Set();
                    foreach (Thread thread in threads)
                    {
                        thread.Join();
                    }
                }
                Assert.True(all >= Threads);
                for (int i = 0; i < 50 && context.GetInfo().HostBytes - before > all / 4; ++i)
                {
                    OnAnotherThread(Collect);
                }
                // A collector that scans stacks conservatively may keep a few.
                Assert.InRange(context.GetInfo().HostBytes - before, 0, all / 4);
            }
        }

        [Fact]
        public void WorkspacesOfLivingThreadsGoWithTheContext()
        {
            Workspace kept = null;
            var context = new Context(new ContextOptions { Threads = 1 });
            using (Tensor weight = Fixture.Weight(context))
            {
                OnALivingThread(
                    () =>
                    {
                        Use(weight);
                        kept = context.ThreadWorkspace(IntPtr.Zero, 0);
                    },
                    () =>
                    {
                        kept.Hold().Dispose();
                        context.Dispose();
                        Assert.Throws<ObjectDisposedException>(() => kept.Hold().Dispose());
                    });
            }
        }

        [Fact]
        public void ThreadsDoNotKeepContextsAlive()
        {
            const int Contexts = 20;
            int destroyed = 0;
            OnALivingThread(
                () =>
                {
                    for (int i = 0; i < Contexts; ++i)
                    {
                        UseAndDrop(() => Interlocked.Increment(ref destroyed));
                    }
                },
                () =>
                {
                    for (int i = 0; i < 50 && Volatile.Read(ref destroyed) < Contexts; ++i)
                    {
                        OnAnotherThread(Collect);
                    }
                    // As above.
                    Assert.InRange(Volatile.Read(ref destroyed), Contexts * 3 / 4, Contexts);
                });
        }

        [Fact]
        public void EightThreadsWithFinalizersInAnyOrder()
        {
            const int Threads = 8;
            const int Rounds = 40;
            int destroyed = 0;
            var errors = new List<Exception>();
            var threads = new Thread[Threads];
            for (int i = 0; i < Threads; ++i)
            {
                int seed = i;
                threads[i] = new Thread(() =>
                {
                    try
                    {
                        for (int round = 0; round < Rounds; ++round)
                        {
                            Litter(seed * 1000 + round, () => Interlocked.Increment(ref destroyed));
                            if (round % 5 == seed % 5)
                            {
                                GC.Collect();
                            }
                        }
                    }
                    catch (Exception error)
                    {
                        lock (errors)
                        {
                            errors.Add(error);
                        }
                    }
                });
                threads[i].Start();
            }
            foreach (Thread thread in threads)
            {
                thread.Join();
            }
            Assert.Equal(new List<Exception>(), errors);
            for (int i = 0; i < 50 && Volatile.Read(ref destroyed) < Threads * Rounds; ++i)
            {
                OnAnotherThread(Collect);
            }
            // A collector that scans stacks conservatively may keep the last few.
            Assert.InRange(Volatile.Read(ref destroyed), Threads * Rounds - Threads, Threads * Rounds);
        }

        /// <summary>Makes a context with objects, uses them, disposes of some and drops the rest.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Litter(int seed, Action destroyed)
        {
            var random = new Random(seed);
            var context = new Context(new ContextOptions
            {
                Threads = 2, Logger = new EndNotice(destroyed).Log, LogLevel = LogLevel.Debug,
            });
            Tensor weight = Fixture.Weight(context, 40, 100, 3, seed);
            var quantizer = new Quantizer(context, new QuantizerOptions(64, 16, 2));
            Tensor dense = Tensor.CopyOf(context, new float[] { 1, 2, 3 });
            Tensor lent = Tensor.Borrow(context, new float[100]);
            Checkpoint file = Checkpoint.Open(Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag"));
            var y = new float[1, 40];
            float[] x = Fixture.Random(100, seed);
            weight.FusedLinear(x, y);
            var again = new float[1, 40];
            weight.FusedLinear(View.Of(x), again);
            Assert.Equal(RawBytes.Of(y), RawBytes.Of(again));
            quantizer.AddBatch(View.Of(Fixture.Random(64, seed), 1, 64));
            var all = new List<IDisposable> { context, weight, quantizer, dense, lent, file, dense.Share() };
            while (all.Count > 0)
            {
                int which = random.Next(all.Count);
                if (random.Next(3) == 0)
                {
                    all[which].Dispose();
                }
                all.RemoveAt(which);
            }
        }

        /// <summary>A linear with the thread's own workspace.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Use(Tensor weight)
        {
            weight.FusedLinear(new float[4, 100], new float[4, 40]);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void UseAndDrop(Action destroyed)
        {
            var context = new Context(new ContextOptions
            {
                Threads = 1, Logger = new EndNotice(destroyed).Log, LogLevel = LogLevel.Error,
            });
            Use(Fixture.Weight(context));
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static WeakReference Borrow(out Tensor lent, out IntPtr exported)
        {
            WeakReference memory = null;
            Tensor made = null;
            OnAnotherThread(() =>
            {
                var array = new float[] { 3, 4, 5 };
                memory = new WeakReference(array);
                made = Tensor.Borrow(Fixture.Context, array);
            });
            lent = made;
            exported = made.ExportDLPack();
            return memory;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static WeakReference UseLogger(List<string> lines)
        {
            WeakReference logger = null;
            OnAnotherThread(() =>
            {
                Action<LogLevel, string, string> log = (level, category, line) =>
                {
                    lock (lines)
                    {
                        lines.Add(level + " " + category + " " + line);
                    }
                    throw new InvalidOperationException("what a logger throws goes no further");
                };
                logger = new WeakReference(log);
                using (new Context(new ContextOptions { Logger = log, LogLevel = LogLevel.Debug }))
                {
                }
            });
            return logger;
        }

        /// <summary>References on this thread's stack would keep objects alive.</summary>
        private static void OnAnotherThread(Action action)
        {
            var thread = new Thread(() => action());
            thread.Start();
            thread.Join();
        }

        /// <summary>Does one thing on another thread and the next on this one, while that still lives.</summary>
        private static void OnALivingThread(Action first, Action next)
        {
            using (var done = new ManualResetEventSlim())
            using (var end = new ManualResetEventSlim())
            {
                var thread = new Thread(() =>
                {
                    first();
                    done.Set();
                    end.Wait();
                });
                thread.Start();
                done.Wait();
                try
                {
                    next();
                }
                finally
                {
                    end.Set();
                    thread.Join();
                }
            }
        }

        private static void Collect()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            GC.Collect();
        }

        /// <summary>A logger that is let go, and so finalized, when the native context has ended.</summary>
        private sealed class EndNotice
        {
            private readonly Action ended;

            internal EndNotice(Action ended)
            {
                this.ended = ended;
            }

            ~EndNotice()
            {
                ended();
            }

            internal void Log(LogLevel level, string category, string line)
            {
            }
        }

        private sealed class Owner : IDisposable
        {
            internal IntPtr Memory { get; } = System.Runtime.InteropServices.Marshal.AllocHGlobal(16);

            internal bool IsDisposed { get; private set; }

            public void Dispose()
            {
                System.Runtime.InteropServices.Marshal.FreeHGlobal(Memory);
                IsDisposed = true;
            }
        }
    }
}
