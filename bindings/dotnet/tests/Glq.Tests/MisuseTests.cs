using System;
using System.IO;
using System.Linq;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Every mistake gets the right exception, with a message that says what is wrong; nothing
    /// crashes.</summary>
    public class MisuseTests : IDisposable
    {
        private readonly Tensor weight = Fixture.Weight(Fixture.Context);

        public void Dispose()
        {
            weight.Dispose();
        }

        [Fact]
        public void WrongShape()
        {
            Fails(Status.Shape, () => weight.FusedLinear(new float[2, 99], new float[2, 40]), "99", "100");
            Fails(Status.Shape, () => weight.FusedLinear(new float[2, 100], new float[2, 41]), "41", "40");
            Fails(Status.Shape, () => weight.FusedLinear(new float[2, 100], new float[3, 40]), "2", "3");
            Fails(Status.Shape, () => View.OfArray(new float[1, 1, 1, 1, 1]), "5 dimensions");
            Fails(Status.Shape, () => View.Of(new float[10], 3, 4), "12", "10");
            Fails(Status.Shape, () => View.Of(new float[10], 3, -4), "-4");
            Fails(Status.Shape, () => View.Of(new float[10], long.MaxValue, long.MaxValue));
            Fails(Status.Shape, () => View.Of(new float[10], 5, 2).Rows(4, 2), "2", "4", "5");
            Fails(Status.Shape, () => View.Of(new float[10], 5, 2).Columns(-1, 2));
            Fails(Status.Shape, () => Tensor.Empty(Fixture.Context, DType.F32, -1));
        }

        [Fact]
        public void WrongType()
        {
            Fails(Status.Dtype, () => weight.FusedLinear(new double[2, 100], new float[2, 40]), "x");
            Fails(Status.Dtype, () => weight.FusedLinear(new float[2, 100], View.Of(new int[80], 2, 40)), "y");
            Fails(Status.Dtype, () => View.Of(new ulong[3]), "UInt64");
            Fails(Status.Dtype, () => View.Of(new float[3]).ToArray<int>(), "F32");
            Fails(Status.Dtype, () => Tensor.Empty(Fixture.Context, DType.None, 3));
        }

        [Fact]
        public void WrongLayoutAliasingAndReadOnly()
        {
            var buffer = new float[2, 140];
            weight.FusedLinear(View.OfArray(buffer).Columns(0, 100), View.OfArray(buffer).Columns(100, 40));
            Fails(Status.Aliasing, () => weight.FusedLinear(
                View.OfArray(buffer).Columns(0, 100), View.OfArray(buffer).Columns(60, 40)));
            Fails(Status.InvalidArgument, () => weight.FusedLinear(
                new float[2, 100], View.OfArray(new float[2, 40]).AsReadOnly()), "READ_ONLY");
            Fails(Status.Layout, () => View.OfArray(buffer).Columns(0, 100).Reshape(200));
            Fails(Status.Layout, () => View.OfArray(buffer).Columns(0, 100).ToArray<float>());
        }

        [Fact]
        public void MemoryOnTheWrongDevice()
        {
            Fails(Status.DeviceMismatch, () => weight.FusedLinear(
                View.FromPointer((IntPtr)4096, DType.F32, Device.Cuda(), new long[] { 2, 100 }), new float[2, 40]),
                    "cuda:0");
            Fails(Status.DeviceMismatch, () => Tensor.Borrow(
                Fixture.Context, View.FromPointer((IntPtr)4096, DType.F32, Device.Cuda(), new long[] { 2 }), null));
            Fails(Status.InvalidArgument, () => Tensor.Borrow(Fixture.Context, View.Of(new float[3]), null), "managed");
            Fails(Status.InvalidArgument, () => weight.FusedLinear(
                new float[2, 100], new float[2, 40], null, new CudaStream((IntPtr)1)), "stream");
        }

        [Fact]
        public void WorkspaceOnTheWrongDevice()
        {
            Fails(Status.DeviceMismatch, () => Workspace.CheckDevice(Device.Cuda(1), Device.Cuda(0)),
                  "workspace is on cuda:1", "context on cuda:0");
            Workspace.CheckDevice(Fixture.Context.Device, Device.Cpu);
        }

        [Fact]
        public void MisalignedPointer()
        {
            Fails(Status.Alignment, () => weight.FusedLinear(
                View.FromPointer((IntPtr)4097, DType.F32, Device.Cpu, new long[] { 2, 100 }), new float[2, 40]));
        }

        [Fact]
        public void DisposedObjects()
        {
            var context = new Context(new ContextOptions { Threads = 1 });
            Tensor dead = Fixture.Weight(context);
            Tensor alive = Fixture.Weight(context);
            var quantizer = new Quantizer(context, new QuantizerOptions(64, 16, 2));
            Checkpoint file = Checkpoint.Open(Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag"));
            dead.Dispose();
            quantizer.Dispose();
            file.Dispose();
            Assert.ThrowsAny<ObjectDisposedException>(() => dead.FusedLinear(new float[1, 100], new float[1, 40]));
            Assert.ThrowsAny<ObjectDisposedException>(() => new Group(alive, dead).FusedLinear(
                new float[1, 100], new float[1, 40], new float[1, 40]));
            Assert.ThrowsAny<ObjectDisposedException>(() => dead.Export());
            Assert.ThrowsAny<ObjectDisposedException>(() => quantizer.AddBatch(new float[1, 64]));
            Assert.ThrowsAny<ObjectDisposedException>(() => quantizer.Save());
            Assert.ThrowsAny<ObjectDisposedException>(() => file.LayerNames.Count.ToString());
            Assert.ThrowsAny<ObjectDisposedException>(() => file.GetTensor("x"));
            var workspace = new Workspace(context, 100000);
            workspace.Dispose();
            Assert.ThrowsAny<ObjectDisposedException>(
                () => alive.FusedLinear(new float[1, 100], new float[1, 40], workspace));
            context.Dispose();
            Assert.ThrowsAny<ObjectDisposedException>(() => alive.FusedLinear(new float[1, 100], new float[1, 40]));
            Assert.ThrowsAny<ObjectDisposedException>(() => Tensor.Empty(context, DType.F32, 1));
            Assert.ThrowsAny<ObjectDisposedException>(() => new Quantizer(context, new QuantizerOptions(64, 16, 2)));
            Assert.Contains("disposed", dead.ToString());
        }

        [Fact]
        public void Nulls()
        {
            Assert.Throws<ArgumentNullException>(() => weight.FusedLinear((float[])null, new float[40]));
            Assert.Throws<ArgumentNullException>(() => Tensor.Empty(null, DType.F32, 1));
            Assert.Throws<ArgumentNullException>(() => new Quantizer(null, new QuantizerOptions(64, 16, 2)));
            Assert.Throws<ArgumentNullException>(() => new Quantizer(Fixture.Context, null));
            Assert.Throws<ArgumentNullException>(() => Checkpoint.Open(null));
            Assert.Throws<ArgumentNullException>(() => Tensor.CreateE8P(Fixture.Context, null));
            Assert.Throws<ArgumentException>(() => Checkpoint.Open("a\0b"));
        }

        [Fact]
        public void WorkspaceTooSmall()
        {
            using (var workspace = new Workspace(Fixture.Context, 1))
            {
                var error = Assert.Throws<GlqResourceException>(
                    () => weight.FusedLinear(new float[2, 100], new float[2, 40], workspace));
                Assert.Equal(Status.WorkspaceTooSmall, error.Status);
                Assert.Contains("1", error.NativeMessage);
            }
        }

        [Fact]
        public void WrongKindOfTensor()
        {
            using (Tensor dense = Tensor.CopyOf(Fixture.Context, new float[40, 100]))
            {
                Assert.ThrowsAny<GlqException>(() => dense.FusedLinear(new float[1, 100], new float[1, 40]));
                Assert.Throws<GlqUnsupportedException>(() => dense.E8P.ToString());
            }
            Assert.Throws<GlqUnsupportedException>(() => weight.View.ToArray<float>());
            Assert.Throws<GlqUnsupportedException>(() => weight.ExportDLPack());
        }

        [Fact]
        public void WeightOfAnotherContext()
        {
            using (var other = new Context(new ContextOptions { Threads = 1 }))
            using (Tensor foreign = Fixture.Weight(other))
            {
                Fails(Status.DeviceMismatch, () => new Group(weight, foreign).FusedLinear(
                    new float[1, 100], new float[1, 40], new float[1, 40]));
            }
            Fails(Status.InvalidArgument, () => new Group(weight).FusedLinear(
                new float[1, 100], new float[1, 40], new float[1, 40]), "2", "1");
            Fails(Status.InvalidArgument, () => new Group(null, null));
        }

        [Fact]
        public void WeightParts()
        {
            Fails(Status.Shape, () => Make(parts => parts.Su = new Half[95]), "96");
            Fails(Status.Dtype, () => Make(parts => parts.Sv = new float[192]), "sv");
            Fails(Status.NotFinite, () => Make(parts => parts.WeightScale = double.PositiveInfinity));
            Fails(Status.NotFinite, () => Make(parts => Rescale(parts, double.NaN)));
            Fails(Status.InvalidArgument, () => Make(parts => Rescale(parts, 0)));
            Assert.ThrowsAny<GlqArgumentException>(() => Make(parts => parts.InBlocks = new long[] { 128, 32 }));
            Assert.ThrowsAny<GlqArgumentException>(() => Make(parts => parts.OutFeatures = 97));
            Assert.ThrowsAny<GlqArgumentException>(() => Make(parts => parts.Stages.Clear()));
            Fails(Status.Shape, () => Make(parts => parts.Bias = new Half[95]), "bias");
        }

        [Fact]
        public void PartKeepsTheShapeThatWasChecked()
        {
            var shape = new long[] { 1 };
            E8PPart part = E8PPart.FromArray(new Half[1], shape);
            shape[0] = 192;
            part.Shape[0] = 192;
            Assert.Equal(new long[] { 1 }, part.Shape);
            Fails(Status.Shape, () => Make(parts => parts.Sv = part), "192");
            using (Tensor dense = Tensor.CopyOf(Fixture.Context, new float[2, 3]))
            {
                part = dense;
                part.Shape[0] = 4;
                Assert.Equal(new long[] { 2, 3 }, part.Shape);
            }
            Fails(Status.Shape, () => E8PPart.FromArray(new Half[1], 2), "2", "1");
            Fails(Status.Shape, () => E8PPart.FromArray(new Half[1], -1, 0), "-1");
            Fails(Status.Shape, () => E8PPart.FromArray(new Half[1], long.MaxValue, 2));
            Fails(Status.Shape, () => E8PPart.FromArray(new Half[1], 1, 1, 1, 1, 1), "5 dimensions");
        }

        [Fact]
        public void WhatObjectsTellOfThemselvesCannotBeChanged()
        {
            Assert.False(weight.E8P.InBlocks is long[]);
            Assert.False(weight.E8P.OutBlocks is long[]);
            Assert.False(weight.E8P.Codebooks is Codebook[]);
            Assert.False(weight.E8P.CumInvScale is double[]);
            var tensors = new[] { weight };
            var group = new Group(tensors);
            tensors[0] = null;
            Assert.True(ReferenceEquals(weight, group.Weights[0]));
            Assert.False(group.Weights is Tensor[]);
            weight.Shape[0] = 1;
            Assert.Equal(new long[] { 40, 100 }, weight.Shape);
            using (Checkpoint file = Checkpoint.Open(Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag")))
            {
                Assert.False(file.LayerNames is string[]);
                Assert.False(file.TensorNames is string[]);
            }
        }

        [Fact]
        public void Contexts()
        {
            Fails(Status.InvalidArgument, () => new Context("tpu"), "tpu");
            Fails(Status.InvalidArgument, () => new Context(new ContextOptions { Threads = -1 }), "-1");
            if (!CudaInfo.Get().IsUsable)
            {
                var error = Assert.ThrowsAny<GlqException>(() => new Context("cuda:0"));
                Assert.True(error is GlqDeviceException || error is GlqUnsupportedException, error.ToString());
                Assert.NotEmpty(error.NativeMessage);
                Assert.Equal(0, Device.Count(DeviceType.Cuda));
            }
        }

        [Fact]
        public void Files()
        {
            var error = Assert.Throws<GlqResourceException>(() => Checkpoint.Open("/does/not/exist.safetensors"));
            Assert.Equal(Status.IO, error.Status);
            Assert.Equal(NativeDomain.Os, error.NativeDomain);
            Assert.Equal(2, error.NativeCode);
            Assert.Contains("errno 2", error.Message);
            Assert.Contains("/does/not/exist.safetensors", error.Message);
            string text = Path.Combine(Golden.Folder, "manifest.tsv");
            string copy = Path.Combine(Path.GetTempPath(), "glq-" + Guid.NewGuid().ToString("N") + ".safetensors");
            File.Copy(text, copy);
            try
            {
                Assert.Throws<GlqBadFileException>(() => Checkpoint.Open(copy));
            }
            finally
            {
                File.Delete(copy);
            }
            using (Checkpoint file = Checkpoint.Open(Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag")))
            {
                Assert.Contains("no.such", Assert.Throws<GlqNotFoundException>(() => file.GetTensor("no.such"))
                    .Message);
                Assert.Throws<GlqNotFoundException>(() => file.Load("no.such", Fixture.Context));
            }
            Assert.Throws<GlqBadFileException>(() => Quantizer.Load(Fixture.Context, new byte[100]));
            Assert.ThrowsAny<GlqArgumentException>(() => Quantizer.Load(Fixture.Context, new byte[0]));
        }

        [Fact]
        public void QuantizerInputs()
        {
            Fails(Status.InvalidArgument, () => new Quantizer(Fixture.Context, new QuantizerOptions(64, 16, 9)), "9");
            using (var quantizer = new Quantizer(Fixture.Context, new QuantizerOptions(64, 16, 2)))
            {
                Fails(Status.Shape, () => quantizer.AddBatch(new float[2, 63]), "63", "64");
                Fails(Status.NotFinite, () => quantizer.AddBatch(Enumerable.Repeat(float.NaN, 64).ToArray()));
                Fails(Status.Shape, () => quantizer.Run(new float[16, 63]));
                Fails(Status.Dtype, () => quantizer.SetHessian(new Half[64, 64], 1));
            }
        }

        [Fact]
        public void ExceptionsCarryEverything()
        {
            GlqException error = Assert.Throws<GlqArgumentException>(
                () => weight.FusedLinear(new float[2, 99], new float[2, 40]));
            Assert.Equal(Status.Shape, error.Status);
            Assert.Equal("GLQ_E_SHAPE", error.StatusName);
            Assert.Equal("glq_fused_linear_e8p", error.Function);
            Assert.Equal(NativeDomain.None, error.NativeDomain);
            Assert.Equal("glq_fused_linear_e8p: " + error.NativeMessage + " [GLQ_E_SHAPE]", error.Message);
        }

        [Fact]
        public void UnknownStatusIsTreatedByItsGroup()
        {
            Assert.Equal(typeof(GlqArgumentException), Kind(199));
            Assert.Equal(typeof(GlqUnsupportedException), Kind(299));
            Assert.Equal(typeof(GlqResourceException), Kind(399));
            Assert.Equal(typeof(GlqOutOfMemoryException), Kind((int)Status.OutOfDeviceMemory));
            Assert.Equal(typeof(GlqDeviceException), Kind(499));
            Assert.Equal(typeof(GlqInternalException), Kind(599));
            Assert.Equal(typeof(GlqNumericException), Kind((int)Status.Numeric));
            Assert.Equal(typeof(GlqException), Kind(999));
        }

        [Fact]
        public void ThereIsARowOfNaNForARowOfNaN()
        {
            var x = new float[2, 100];
            x[0, 3] = float.NaN;
            x[1, 3] = 1;
            var y = new float[2, 40];
            weight.FusedLinear(x, y);
            Assert.True(float.IsNaN(y[0, 0]) && float.IsNaN(y[0, 39]) && !float.IsNaN(y[1, 0]));
            weight.FusedLinear(new float[0, 100], new float[0, 40]);
        }

        private static Type Kind(int status)
        {
            return GlqException.Make((Status)status, "m", "f", NativeDomain.None, 0).GetType();
        }

        private static void Make(Action<E8PParts> change)
        {
            E8PParts parts = Golden.Parts("bd_96x192/b3");
            change(parts);
            Tensor.CreateE8P(Fixture.Context, parts).Dispose();
        }

        private static void Rescale(E8PParts parts, double scale)
        {
            parts.Stages[1] = new E8PStage(parts.Stages[1].Codebook, parts.Stages[1].Indices, scale);
        }

        private static void Fails(Status status, Action action, params string[] texts)
        {
            var error = Assert.ThrowsAny<GlqArgumentException>(action);
            Assert.Equal(status, error.Status);
            foreach (string text in texts)
            {
                Assert.Contains(text, error.NativeMessage);
            }
        }
    }
}
