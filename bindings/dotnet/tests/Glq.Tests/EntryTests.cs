using System.IO;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Each way into the library without an object of it; the suite also runs each in a process of its own,
    /// where it is the first call of all.</summary>
    public class EntryTests
    {
        [Fact]
        public void Version()
        {
            Assert.True(GlqLibrary.Version >= new System.Version(0, 1, 0));
        }

        [Fact]
        public void BuildInfo()
        {
            Assert.NotEmpty(GlqLibrary.BuildInfo);
        }

        [Fact]
        public void Codebook()
        {
            Assert.Equal(256 * 8, Context.GetCodebook(Glq.Codebook.E81B).Length);
        }

        [Fact]
        public void ParseDevice()
        {
            Assert.Equal(Device.Cuda(1), Device.Parse("cuda:1"));
        }

        [Fact]
        public void InfoOfDevice()
        {
            Assert.NotEmpty(Device.Cpu.GetInfo().Name);
        }

        [Fact]
        public void CountDevices()
        {
            Assert.Equal(1, Device.Count(DeviceType.Cpu));
        }

        [Fact]
        public void Cuda()
        {
            Assert.NotEmpty(CudaInfo.Get().Message);
        }

        [Fact]
        public void QuantizerMemory()
        {
            Assert.True(new QuantizerOptions(64, 64, 2).Memory > 0);
        }

        [Fact]
        public void OpenCheckpoint()
        {
            Checkpoint.Open(Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag")).Dispose();
        }

        [Fact]
        public void MakeContext()
        {
            new Context().Dispose();
        }

        [Fact]
        public void OwnException()
        {
            var error = Assert.Throws<GlqArgumentException>(() => View.Of(new float[1], 2).Shape.ToString());
            Assert.Contains("GLQ_E_SHAPE", error.Message);
        }

        [Fact]
        public void NullContext()
        {
            Assert.Throws<System.ArgumentNullException>(() => Tensor.Empty(null, DType.F32, 1));
            Fixture.Weight(Fixture.Context).Dispose();
            Tensor.Empty(Fixture.Context, DType.F32, 1).Dispose();
        }
    }
}
