using System;
using System.Collections.Generic;
using Glq.Interop;

namespace Glq
{
    /// <summary>An open safetensors checkpoint, mapped into memory. Any number of threads may use it at once.</summary>
    /// <remarks>The files must not be changed while it is open. Weights that were made from it live on.</remarks>
    public sealed unsafe class Checkpoint : IDisposable
    {
        private IReadOnlyList<string> tensorNames;
        private IReadOnlyList<string> layerNames;

        private Checkpoint(CheckpointHandle handle)
        {
            Handle = handle;
        }

        private delegate int CountFunction(CheckpointHandle checkpoint, long* count);

        private delegate int NameFunction(CheckpointHandle checkpoint, long index, byte** name);

        /// <summary>The reference for the raw interface, <see cref="NativeMethods"/>.</summary>
        public CheckpointHandle Handle { get; }

        /// <summary>Names of all tensors, sorted.</summary>
        public IReadOnlyList<string> TensorNames => tensorNames ?? (tensorNames = Names(
            NativeMethods.glq_checkpoint_tensor_count, NativeMethods.glq_checkpoint_tensor_name));

        /// <summary>Names of the E8P layers (module paths), sorted.</summary>
        public IReadOnlyList<string> LayerNames => layerNames ?? (layerNames = Names(
            NativeMethods.glq_checkpoint_layer_count, NativeMethods.glq_checkpoint_layer_name));

        /// <summary>Opens a checkpoint and checks it.</summary>
        /// <param name="path">A <c>.safetensors</c> or <c>.safetensors.index.json</c> file, or a folder that holds
        /// <c>model.safetensors</c> or its index.</param>
        public static Checkpoint Open(string path)
        {
            GlqLibrary.Load();
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
            {
                int status = NativeMethods.glq_checkpoint_open(text, out CheckpointHandle handle);
                if (status != Constants.GLQ_OK)
                {
                    GlqException error = GlqException.Last(status);
                    handle.Dispose();
                    throw error;
                }
                return new Checkpoint(handle);
            }
        }

        /// <summary>A tensor of the file, read-only and without a copy.</summary>
        public View GetTensor(string name)
        {
            glq_view view;
            fixed (byte* text = Utf8.Bytes(name, nameof(name)))
            {
                GlqException.Check(NativeMethods.glq_checkpoint_tensor(Handle, text, &view));
            }
            return View.OfOwner(view, Handle);
        }

        /// <summary>Makes the weight of an E8P layer on a context's device.</summary>
        /// <param name="layer">Module path.</param>
        /// <param name="context">Where to.</param>
        /// <param name="inFeatures">Columns before padding; null: as stored, else padded. Old checkpoints do not store
        /// it.</param>
        /// <param name="outFeatures">Rows before padding; null: as stored, else those of the bias, else padded.</param>
        /// <param name="stream">Ordered after the work queued on it; complete on return.</param>
        public Tensor Load(string layer, Context context, long? inFeatures = null, long? outFeatures = null,
                           CudaStream stream = default)
        {
            var desc = new glq_e8p_desc { struct_size = (uint)sizeof(glq_e8p_desc) };
            using (new Hold(Handle))
            {
                fixed (byte* text = Utf8.Bytes(layer, nameof(layer)))
                {
                    GlqException.Check(NativeMethods.glq_checkpoint_layer(Handle, text, &desc));
                }
                desc.in_features = inFeatures ?? desc.in_features;
                desc.out_features = outFeatures ?? desc.out_features;
                return Tensor.FromDescription(context, &desc, stream);
            }
        }

        /// <summary>Closes the checkpoint, once no call uses it any more.</summary>
        public void Dispose()
        {
            Handle.Dispose();
        }

        private IReadOnlyList<string> Names(CountFunction count, NameFunction name)
        {
            using (new Hold(Handle))
            {
                long total;
                GlqException.Check(count(Handle, &total));
                var names = new string[total];
                for (long i = 0; i < total; ++i)
                {
                    byte* text;
                    GlqException.Check(name(Handle, i, &text));
                    names[i] = Utf8.Read(text);
                }
                return Array.AsReadOnly(names);
            }
        }
    }
}
