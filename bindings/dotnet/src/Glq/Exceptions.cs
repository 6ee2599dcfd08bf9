using System;
using System.Collections.Generic;
using System.Text;
using Glq.Interop;

namespace Glq
{
    /// <summary>A call of libglq failed. Subclasses stand for the groups of status codes.</summary>
    public class GlqException : Exception
    {
        /// <summary>Makes an exception without native detail.</summary>
        public GlqException(Status status, string nativeMessage)
            : this(status, nativeMessage, null, NativeDomain.None, 0)
        {
        }

        /// <summary>Makes an exception.</summary>
        public GlqException(Status status, string nativeMessage, string function, NativeDomain domain, int nativeCode)
            : base(Text(status, nativeMessage, function, domain, nativeCode))
        {
            Status = status;
            NativeMessage = nativeMessage;
            Function = function;
            NativeDomain = domain;
            NativeCode = nativeCode;
        }

        /// <summary>The status. A library newer than this assembly may have further values.</summary>
        public Status Status { get; }

        /// <summary>Name of the status in the C header, such as <c>GLQ_E_SHAPE</c>.</summary>
        public string StatusName => StatusNames.Of((int)Status);

        /// <summary>The library's sentence: the argument and both values.</summary>
        public string NativeMessage { get; }

        /// <summary>The function of the C interface that failed, or null.</summary>
        public string Function { get; }

        /// <summary>What <see cref="NativeCode"/> is.</summary>
        public NativeDomain NativeDomain { get; }

        /// <summary>The code of CUDA, cuBLASLt or the operating system.</summary>
        public int NativeCode { get; }

        /// <summary>The exception for a status; one that is not known is treated by its group.</summary>
        internal static GlqException Make(Status status, string message, string function, NativeDomain domain, int code)
        {
            switch (status)
            {
                case Status.BadFile:
                    return new GlqBadFileException(status, message, function, domain, code);
                case Status.NotFound:
                    return new GlqNotFoundException(status, message, function, domain, code);
                case Status.OutOfHostMemory:
                case Status.OutOfDeviceMemory:
                    return new GlqOutOfMemoryException(status, message, function, domain, code);
                case Status.Numeric:
                    return new GlqNumericException(status, message, function, domain, code);
            }
            switch ((int)status / 100)
            {
                case 1:
                    return new GlqArgumentException(status, message, function, domain, code);
                case 2:
                    return new GlqUnsupportedException(status, message, function, domain, code);
                case 3:
                    return new GlqResourceException(status, message, function, domain, code);
                case 4:
                    return new GlqDeviceException(status, message, function, domain, code);
                case 5:
                    return new GlqInternalException(status, message, function, domain, code);
                default:
                    return new GlqException(status, message, function, domain, code);
            }
        }

        /// <summary>The exception for a call that just failed on this thread.</summary>
        internal static unsafe GlqException Last(int status)
        {
            var info = new glq_error_info { struct_size = (uint)sizeof(glq_error_info) };
            if (NativeMethods.glq_last_error(&info) != Constants.GLQ_OK || info.status != status)
            {
                return Make((Status)status, "no detail was recorded", null, NativeDomain.None, 0);
            }
            return Make((Status)status, Utf8.Read(info.message), Utf8.Read(info.function),
                        (NativeDomain)info.native_domain,
                        info.native_code);
        }

        /// <summary>Throws for a status other than GLQ_OK. To be called right after the call, on its thread.</summary>
        internal static void Check(int status)
        {
            if (status != Constants.GLQ_OK)
            {
                throw Last(status);
            }
        }

        private static string Text(Status status, string message, string function, NativeDomain domain, int code)
        {
            string native;
            switch (domain)
            {
                case NativeDomain.None:
                    native = string.Empty;
                    break;
                case NativeDomain.Cuda:
                    native = ", cudaError_t " + code;
                    break;
                case NativeDomain.Cublas:
                    native = ", cublasStatus_t " + code;
                    break;
                case NativeDomain.Os:
                    native = ", errno " + code;
                    break;
                default:
                    native = ", code " + code + " of domain " + (int)domain;
                    break;
            }
            string where = function == null ? string.Empty : function + ": ";
            return where + message + " [" + StatusNames.Of((int)status) + native + "]";
        }
    }

    /// <summary>An argument is wrong (1xx): value, shape, type, strides, alignment, device, overlap.</summary>
    public class GlqArgumentException : GlqException
    {
        /// <inheritdoc/>
        public GlqArgumentException(Status status, string message) : base(status, message)
        {
        }

        /// <inheritdoc/>
        public GlqArgumentException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>A file or a saved state is truncated, malformed or inconsistent.</summary>
    public sealed class GlqBadFileException : GlqArgumentException
    {
        internal GlqBadFileException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>There is no entry of that name or index.</summary>
    public sealed class GlqNotFoundException : GlqArgumentException
    {
        internal GlqNotFoundException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>The call is valid but not supported (2xx): this combination, this GPU, this build, or during
    /// capture.</summary>
    public sealed class GlqUnsupportedException : GlqException
    {
        internal GlqUnsupportedException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>A resource is missing or too small (3xx): workspace, buffer, file access.</summary>
    public class GlqResourceException : GlqException
    {
        internal GlqResourceException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>The host or the device has no memory left.</summary>
    public sealed class GlqOutOfMemoryException : GlqResourceException
    {
        internal GlqOutOfMemoryException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>The device, its driver or an optional library failed (4xx).</summary>
    public sealed class GlqDeviceException : GlqException
    {
        internal GlqDeviceException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>A defect of the library (5xx). Please report it.</summary>
    public sealed class GlqInternalException : GlqException
    {
        internal GlqInternalException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>A matrix cannot be factorised even after damping.</summary>
    public sealed class GlqNumericException : GlqException
    {
        internal GlqNumericException(Status status, string message, string function, NativeDomain domain, int code)
            : base(status, message, function, domain, code)
        {
        }
    }

    /// <summary>libglq could not be loaded, or is not the one this assembly was made for.</summary>
    public sealed class GlqLibraryException : DllNotFoundException
    {
        internal GlqLibraryException(IReadOnlyList<KeyValuePair<string, string>> tried) : base(Text(tried))
        {
            Tried = tried;
        }

        /// <summary>Each path that was tried, with the reason why it was not used.</summary>
        public IReadOnlyList<KeyValuePair<string, string>> Tried { get; }

        private static string Text(IReadOnlyList<KeyValuePair<string, string>> tried)
        {
            var text = new StringBuilder(
                "libglq could not be loaded (set GLQ_LIBRARY or GlqLibrary.Path to its file). Tried:");
            foreach (KeyValuePair<string, string> entry in tried)
            {
                text.Append("\n  ").Append(entry.Key).Append(": ").Append(entry.Value);
            }
            return text.ToString();
        }
    }
}
