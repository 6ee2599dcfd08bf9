using System;
using System.IO;
using Xunit;

namespace Glq.Tests
{
    /// <summary>Libraries that will not do, and why. (That a process without any fails well is tested by the
    /// suite.)</summary>
    public class LoaderTests
    {
        [Fact]
        public void MissingFile()
        {
            Assert.Equal("no such file", GlqLibrary.TryOpen("/does/not/exist/libglq.so"));
        }

        [Fact]
        public void NotALibrary()
        {
            Assert.NotEmpty(GlqLibrary.TryOpen(Path.Combine(Golden.Root, "include", "glq.h")));
        }

        [Fact]
        public void AnotherLibrary()
        {
            Assert.Contains("not libglq", GlqLibrary.TryOpen("libm.so.6"));
        }

        [Fact]
        public void PathIsFrozenOnceLoaded()
        {
            GlqLibrary.Load();
            string loaded = GlqLibrary.Path;
            Assert.NotEmpty(loaded);
            GlqLibrary.Path = loaded;
            var error = Assert.Throws<InvalidOperationException>(() => GlqLibrary.Path = "/another/libglq.so");
            Assert.Contains(loaded, error.Message);
            Assert.Contains("/another/libglq.so", error.Message);
        }

        [Fact]
        public void TheChosenFileIsTheOnlyCandidate()
        {
            GlqLibrary.Load();
            Assert.Equal(new[] { GlqLibrary.Path }, GlqLibrary.Candidates());
        }
    }
}
