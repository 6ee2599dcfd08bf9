using System;
using System.Runtime.CompilerServices;

[assembly: CLSCompliant(false)]
[assembly: InternalsVisibleTo("Glq.Tests")]
#if NET8_0_OR_GREATER
[assembly: DisableRuntimeMarshalling]
#endif
