using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Glq.Interop;
using Xunit;
using static Glq.Interop.NativeMethods;

namespace Glq.Tests
{
    /// <summary>Calls every exported function once through its P/Invoke, with a result that shows that the arguments
    /// came through.</summary>
    public unsafe class RawCallTests
    {
        private const int Ok = Constants.GLQ_OK;
        private const int Bad = Constants.GLQ_E_INVALID_ARGUMENT;

        private static readonly Dictionary<string, Action> Calls = new Dictionary<string, Action>
        {
            ["glq_version"] = () => Assert.True(glq_version() >= Constants.GLQ_VERSION),
            ["glq_abi_version"] = () => Assert.Equal((uint)Constants.GLQ_ABI_VERSION, glq_abi_version()),
            ["glq_build_info"] = () => Assert.Contains("glq 0.", Text(glq_build_info())),
            ["glq_get_cuda_info"] = () => Assert.NotEmpty(CudaInfo.Get().Message),
            ["glq_status_name"] = () => Assert.Equal("GLQ_E_SHAPE", Text(glq_status_name(101))),
            ["glq_status_string"] = () => Assert.NotEmpty(Text(glq_status_string(101))),
            ["glq_last_error"] = LastError,
            ["glq_clear_error"] = LastError,
            ["glq_device_count"] = () => Assert.Equal(1, Device.Count(DeviceType.Cpu)),
            ["glq_device_parse"] = () => Assert.Equal(Device.Cuda(3), Device.Parse("cuda:3")),
            ["glq_device_get_info"] = () => Assert.True(Device.Cpu.GetInfo().TotalMemory > 0),
            ["glq_context_desc_init"] = () =>
            {
                glq_context_desc desc;
                Check(glq_context_desc_init(&desc, (uint)sizeof(glq_context_desc)));
                Assert.Equal((uint)sizeof(glq_context_desc), desc.struct_size);
                Assert.Equal(Constants.GLQ_E_STRUCT_SIZE, glq_context_desc_init(&desc, 3));
            },
            ["glq_context_create"] = () =>
            {
                Check(glq_context_create(null, out ContextHandle made));
                Assert.False(made.IsInvalid);
                made.Dispose();
                var desc = new glq_context_desc { struct_size = 1 };
                Assert.Equal(Constants.GLQ_E_STRUCT_SIZE, glq_context_create(&desc, out ContextHandle none));
                Assert.True(none.IsInvalid);
            },
            ["glq_context_retain"] = RetainAndDestroyContext,
            ["glq_context_destroy"] = RetainAndDestroyContext,
            ["glq_context_get_info"] = () => Assert.Equal(2, Fixture.Context.GetInfo().Threads),
            ["glq_context_synchronize"] = () =>
            {
                Check(glq_context_synchronize(Fixture.Context.Handle, IntPtr.Zero));
                Assert.Equal(Bad, glq_context_synchronize(Fixture.Context.Handle, (IntPtr)1));
            },
            ["glq_op_support"] = () =>
            {
                OpSupport support = Fixture.Context.GetOpSupport(Operation.FusedLinearE8P, 100, 40, 8, 3);
                Assert.True(support.IsSupported, support.Reason);
                Assert.NotEmpty(support.Path);
                Assert.Equal(Status.Dtype, Fixture.Context.GetOpSupport(
                    Operation.FusedLinearE8P, 100, 40, 8, 3, DType.I64).Status);
            },
            ["glq_view_init"] = () =>
            {
                float first;
                long* shape = stackalloc long[2];
                shape[0] = 3;
                shape[1] = 5;
                var device = new glq_device { type = Constants.GLQ_DEVICE_CUDA, index = 7 };
                glq_view view;
                Check(glq_view_init(&view, &first, Constants.GLQ_DTYPE_F32, &device, 2, shape));
                Assert.Equal((IntPtr)(&first), (IntPtr)view.data);
                Assert.Equal(5L, view.shape[1]);
                Assert.Equal(5L, view.strides[0]);
                Assert.Equal(7, view.device.index);
                Assert.Equal(2, view.ndim);
            },
            ["glq_view_check"] = () =>
            {
                var view = default(glq_view);
                Assert.Equal(Constants.GLQ_E_DTYPE, glq_view_check(&view));
            },
            ["glq_view_copy"] = () =>
            {
                var to = new float[3, 2];
                Fixture.Context.Copy(View.Of(new float[] { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, 3, 3).Columns(1, 2), to);
                Assert.Equal(new float[] { 2, 3, 5, 6, 8, 9 }, View.OfArray(to).ToArray<float>());
            },
            ["glq_tensor_create"] = () =>
            {
                using (Tensor made = Tensor.Empty(Fixture.Context, DType.BF16, 3, 4))
                {
                    Assert.Equal(new long[] { 3, 4 }, made.Shape);
                    Assert.Equal(24L, made.View.Count * 2);
                }
            },
            ["glq_tensor_create_copy"] = () =>
            {
                using (Tensor made = Tensor.CopyOf(Fixture.Context, new float[] { 1, 2, 3 }))
                {
                    Assert.Equal(new float[] { 1, 2, 3 }, made.ToArray<float>());
                }
            },
            ["glq_tensor_borrow"] = () =>
            {
                var memory = new float[] { 1, 2, 3, 4 };
                using (Tensor lent = Tensor.Borrow(Fixture.Context, memory, 2, 2))
                {
                    memory[3] = 7;
                    Assert.Equal(new float[] { 1, 2, 3, 7 }, lent.ToArray<float>());
                }
            },
            ["glq_tensor_import_dlpack"] = DLPack,
            ["glq_tensor_export_dlpack"] = DLPack,
            ["glq_tensor_get_info"] = () => WithWeight(weight => Assert.Equal(new long[] { 40, 100 }, weight.Shape)),
            ["glq_tensor_view"] = () =>
            {
                using (Tensor dense = Tensor.Empty(Fixture.Context, DType.I16, 2, 3, 4))
                {
                    Assert.Equal(new long[] { 2, 3, 4 }, dense.View.Shape);
                    Assert.Equal(DType.I16, dense.View.DType);
                }
            },
            ["glq_tensor_retain"] = RetainAndDestroyTensor,
            ["glq_tensor_destroy"] = RetainAndDestroyTensor,
            ["glq_e8p_desc_init"] = () =>
            {
                glq_e8p_desc desc;
                Check(glq_e8p_desc_init(&desc, (uint)sizeof(glq_e8p_desc)));
                Assert.Equal((uint)sizeof(glq_e8p_desc), desc.struct_size);
            },
            ["glq_tensor_create_e8p"] = () =>
            {
                var desc = new glq_e8p_desc { struct_size = (uint)sizeof(glq_e8p_desc), in_features = 64,
                    num_stages = 9 };
                Assert.Equal(Constants.GLQ_E_SHAPE, glq_tensor_create_e8p(Fixture.Context.Handle, IntPtr.Zero, &desc,
                    out TensorHandle none));
                Assert.True(none.IsInvalid);
                WithWeight(weight => Assert.Equal(TensorEncoding.E8P, weight.Encoding));
            },
            ["glq_e8p_get_info"] = () => WithWeight(weight =>
            {
                Assert.Equal(3, weight.E8P.Bits);
                Assert.Equal(128L, weight.E8P.PaddedIn);
                Assert.Equal(new[] { 1, 0.3 }, weight.E8P.CumInvScale.ToArray());
                Assert.Equal(new long[] { 32, 16 }, weight.E8P.OutBlocks.ToArray());
            }),
            ["glq_e8p_export"] = () => WithWeight(weight =>
                Assert.Equal(new long[] { 3, 2, 8, 4 }, weight.Export().Stages[0].Indices.Shape)),
            ["glq_fused_linear_e8p_workspace"] = FusedLinear,
            ["glq_fused_linear_e8p"] = FusedLinear,
            ["glq_fused_linear_e8p_group_workspace"] = GroupLinear,
            ["glq_fused_linear_e8p_group"] = GroupLinear,
            ["glq_fused_linear_e8p_plan"] = () => WithWeight(weight => Assert.Contains(": ", weight.Plan(3))),
            ["glq_rht_input_workspace"] = () => WithWeight(weight => Query(glq_rht_input_workspace, weight)),
            ["glq_rht_input"] = Pieces,
            ["glq_matmul_e8p_workspace"] = () => WithWeight(weight => Query(glq_matmul_e8p_workspace, weight)),
            ["glq_matmul_e8p"] = Pieces,
            ["glq_rht_output_workspace"] = () => WithWeight(weight => Query(glq_rht_output_workspace, weight)),
            ["glq_rht_output"] = Pieces,
            ["glq_decode_e8p"] = () => WithWeight(weight =>
            {
                var w = new float[2, 128];
                weight.Decode(w, 46);
                Assert.True(View.OfArray(w).ToArray<float>().Any(value => value != 0));
                Assert.Throws<GlqArgumentException>(() => weight.Decode(w, 47));
            }),
            ["glq_dequantize_workspace"] = Dequantize,
            ["glq_dequantize"] = Dequantize,
            ["glq_e8p_pack"] = Packing,
            ["glq_e8p_unpack"] = Packing,
            ["glq_e8p_codebook"] = () =>
            {
                Assert.Equal(2048, Context.GetCodebook(Codebook.E81B).Length);
                glq_view view = default;
                Assert.Equal(Bad, glq_e8p_codebook(77, &view));
            },
            ["glq_gemv_bf16_workspace"] = Gemv,
            ["glq_gemv_bf16"] = Gemv,
            ["glq_quantizer_desc_init"] = () =>
            {
                glq_quantizer_desc desc;
                Check(glq_quantizer_desc_init(&desc, (uint)sizeof(glq_quantizer_desc)));
                Assert.Equal((uint)sizeof(glq_quantizer_desc), desc.struct_size);
            },
            ["glq_quantizer_memory"] = () => Assert.True(new QuantizerOptions(128, 64, 3).Memory > 128 * 128 * 8),
            ["glq_quantizer_create"] = Quantize,
            ["glq_quantizer_add_batch"] = Quantize,
            ["glq_quantizer_set_hessian"] = Quantize,
            ["glq_quantizer_get_hessian"] = Quantize,
            ["glq_quantizer_run"] = Quantize,
            ["glq_quantizer_abandon"] = Quantize,
            ["glq_quantizer_save"] = Quantize,
            ["glq_quantizer_load"] = Quantize,
            ["glq_quantizer_get_desc"] = Quantize,
            ["glq_quantizer_get_report"] = Quantize,
            ["glq_quantizer_destroy"] = Quantize,
            ["glq_checkpoint_open"] = Checkpoints,
            ["glq_checkpoint_tensor_count"] = Checkpoints,
            ["glq_checkpoint_tensor_name"] = Checkpoints,
            ["glq_checkpoint_tensor"] = Checkpoints,
            ["glq_checkpoint_layer_count"] = Checkpoints,
            ["glq_checkpoint_layer_name"] = Checkpoints,
            ["glq_checkpoint_layer"] = Checkpoints,
            ["glq_checkpoint_destroy"] = Checkpoints,
        };

        private delegate int WorkspaceQuery(ContextHandle context, TensorHandle weight, long tokens,
            glq_launch_opts* opts,
                                            UIntPtr* bytes);

        public static IEnumerable<object[]> Functions => LayoutTests.Functions.Select(name => new object[] { name });

        [Theory]
        [MemberData(nameof(Functions))]
        public void FunctionIsCalled(string name)
        {
            GC.KeepAlive(Fixture.Context); // loads the library
            Assert.True(Calls.ContainsKey(name), name + " is called by no test");
            Calls[name]();
        }

        [Fact]
        public void NoCallIsForNothing()
        {
            Assert.Equal(LayoutTests.Functions.OrderBy(n => n, StringComparer.Ordinal).ToArray(),
                         Calls.Keys.OrderBy(n => n, StringComparer.Ordinal).ToArray());
        }

        private static void Check(int status)
        {
            GlqException.Check(status);
        }

        private static string Text(byte* text)
        {
            return Utf8.Read(text);
        }

        private static void WithWeight(Action<Tensor> action)
        {
            using (Tensor weight = Fixture.Weight(Fixture.Context))
            {
                action(weight);
            }
        }

        private static void Query(WorkspaceQuery query, Tensor weight)
        {
            var bytes = (UIntPtr)ulong.MaxValue;
            Check(query(Fixture.Context.Handle, weight.Handle, 4, null, &bytes));
            Assert.True((ulong)bytes < 1 << 20);
            Assert.Equal(Bad, query(Fixture.Context.Handle, weight.Handle, -1, null, &bytes));
        }

        private static void LastError()
        {
            Assert.Equal(Bad, glq_device_count(99, null));
            var info = new glq_error_info { struct_size = (uint)sizeof(glq_error_info) };
            Check(glq_last_error(&info));
            Assert.Equal(Bad, info.status);
            Assert.Equal("glq_device_count", Text(info.function));
            glq_clear_error();
            Check(glq_last_error(&info));
            Assert.Equal(Ok, info.status);
        }

        private static void RetainAndDestroyContext()
        {
            Check(glq_context_create(null, out ContextHandle made));
            Check(glq_context_retain(made));
            glq_context_destroy(made.DangerousGetHandle());
            Check(glq_context_synchronize(made, IntPtr.Zero));
            made.Dispose();
            glq_context_destroy(IntPtr.Zero);
        }

        private static void RetainAndDestroyTensor()
        {
            using (Tensor first = Tensor.CopyOf(Fixture.Context, new float[] { 4, 5 }))
            {
                Tensor second = first.Share();
                first.Dispose();
                Assert.Equal(new float[] { 4, 5 }, second.ToArray<float>());
                second.Dispose();
            }
            glq_tensor_destroy(IntPtr.Zero);
        }

        private static void DLPack()
        {
            Tensor first = Tensor.CopyOf(Fixture.Context, new float[] { 4, 5, 6 });
            IntPtr managed = first.ExportDLPack();
            first.Dispose();
            using (Tensor second = Tensor.ImportDLPack(Fixture.Context, managed))
            {
                Assert.Equal(new float[] { 4, 5, 6 }, second.ToArray<float>());
            }
            Assert.Equal(Bad, glq_tensor_import_dlpack(Fixture.Context.Handle, IntPtr.Zero, out TensorHandle none));
            Assert.True(none.IsInvalid);
        }

        private static void FusedLinear()
        {
            WithWeight(weight =>
            {
                float[] x = Fixture.Random(300);
                var y = new float[3, 40];
                var again = new float[3, 40];
                var w = new float[40, 100];
                weight.Dequantize(w);
                weight.FusedLinear(View.Of(x, 3, 100), y);
                using (var workspace = new Workspace(Fixture.Context, weight.FusedLinearWorkspace(3)))
                {
                    weight.FusedLinear(View.Of(x, 3, 100), again, workspace);
                }
                Assert.Equal(RawBytes.Of(y), RawBytes.Of(again));
                double expected = 0;
                for (int k = 0; k < 100; ++k)
                {
                    expected += x[100 + k] * w[7, k];
                }
                Assert.InRange(y[1, 7] - expected, -1e-3, 1e-3);
            });
        }

        private static void GroupLinear()
        {
            using (Tensor a = Fixture.Weight(Fixture.Context, 40, 100, 3, 1))
            using (Tensor b = Fixture.Weight(Fixture.Context, 24, 100, 4, 2))
            using (Tensor c = Fixture.Weight(Fixture.Context, 16, 100, 2, 3))
            {
                View x = View.Of(Fixture.Random(200), 2, 100);
                var one = new float[2, 40];
                var two = new float[2, 24];
                var three = new float[2, 16];
                a.FusedLinear(x, one);
                b.FusedLinear(x, two);
                c.FusedLinear(x, three);
                var group = new Group(a, b, c);
                var all = new float[2, 80]; // the outputs are columns of one matrix
                using (var workspace = new Workspace(Fixture.Context, group.Workspace(2)))
                {
                    group.FusedLinear(x, View.OfArray(all).Columns(0, 40), View.OfArray(all).Columns(40, 24),
                                      View.OfArray(all).Columns(64, 16), workspace);
                }
                var pair = new float[2, 24];
                new Group(b, c).FusedLinear(x, pair, new float[2, 16]);
                using (Tensor y0 = Tensor.Empty(Fixture.Context, DType.F32, 2, 40))
                using (Tensor y2 = Tensor.Empty(Fixture.Context, DType.F32, 2, 16))
                {
                    new Group(a, null, c).FusedLinear(x, new[] { y0, null, y2 });
                    Assert.Equal(View.OfArray(one).ToArray<float>(), y0.ToArray<float>());
                    Assert.Equal(View.OfArray(three).ToArray<float>(), y2.ToArray<float>());
                }
                Assert.Equal(RawBytes.Of(two), RawBytes.Of(pair));
                for (int row = 0; row < 2; ++row)
                {
                    Assert.Equal(one[row, 39], all[row, 39]);
                    Assert.Equal(two[row, 0], all[row, 40]);
                    Assert.Equal(three[row, 15], all[row, 79]);
                }
            }
        }

        private static void Pieces()
        {
            WithWeight(weight =>
            {
                float[] x = Fixture.Random(200);
                var v = new float[2, 128];
                var z = new float[2, 48];
                var y = new float[2, 40];
                var whole = new float[2, 40];
                weight.RhtInput(View.Of(x, 2, 100), v);
                weight.Matmul(v, z);
                weight.RhtOutput(z, y);
                weight.FusedLinear(View.Of(x, 2, 100), whole);
                Assert.Equal(RawBytes.Of(whole), RawBytes.Of(y));
            });
        }

        private static void Dequantize()
        {
            WithWeight(weight =>
            {
                var own = new float[40, 100];
                var other = new float[40, 100];
                using (var workspace = new Workspace(Fixture.Context, weight.DequantizeWorkspace()))
                {
                    weight.Dequantize(own);
                    weight.Dequantize(other, workspace);
                }
                Assert.True(View.OfArray(own).ToArray<float>().Any(value => value != 0));
                Assert.Equal(RawBytes.Of(own), RawBytes.Of(other));
            });
        }

        private static void Packing()
        {
            ushort[] codes = Enumerable.Range(0, 16 * 8).Select(i => (ushort)(i * 509)).ToArray();
            var packed = new long[32];
            var back = new ushort[16 * 8];
            Fixture.Context.Pack(Codebook.E8P, View.Of(codes, 16, 8), View.Of(packed, 1, 1, 8, 4));
            Fixture.Context.Unpack(Codebook.E8P, View.Of(packed, 1, 1, 8, 4), View.Of(back, 16, 8));
            Assert.Equal(codes, back);
        }

        private static void Gemv()
        {
            var w = new BFloat16[3 * 5];
            var x = new BFloat16[2 * 5];
            for (int i = 0; i < w.Length; ++i)
            {
                w[i] = (BFloat16)(i + 1f);
            }
            for (int i = 0; i < x.Length; ++i)
            {
                x[i] = (BFloat16)(float)(i % 5 == 2 ? 2 : 0);
            }
            using (Tensor weight = Tensor.CopyOf(Fixture.Context, View.Of(w, 3, 5)))
            {
                var y = new float[2, 3];
                weight.GemvBF16(View.Of(x, 2, 5), y);
                Assert.Equal(new float[] { 6, 16, 26, 6, 16, 26 }, View.OfArray(y).ToArray<float>());
            }
        }

        private static void Quantize()
        {
            using (var quantizer = new Quantizer(Fixture.Context, new QuantizerOptions(64, 32, 2) { Seed = 7 }))
            {
                quantizer.AddBatch(View.Of(Fixture.Random(64 * 10), 10, 64));
                var hessian = new double[64, 64];
                Assert.Equal(10.0, quantizer.GetHessian(hessian));
                quantizer.SetHessian(hessian, 10);
                float[] w = Fixture.Random(64 * 32, 2);
                Assert.Throws<GlqArgumentException>(() => quantizer.GetReport());
                using (Tensor first = quantizer.Run(View.Of(w, 32, 64), Fixture.Random(32)))
                using (Quantizer loaded = Quantizer.Load(Fixture.Context, quantizer.Save()))
                using (Tensor second = loaded.Run(View.Of(w, 32, 64)))
                {
                    Assert.Equal(first.Export().Stages[0].Indices.Array, second.Export().Stages[0].Indices.Array);
                    Assert.Equal(DType.F32, first.E8P.BiasDType);
                    Assert.Equal(7u, loaded.GetOptions().Seed.Value);
                    Assert.Equal(10.0, quantizer.GetReport().Samples);
                    Assert.InRange(quantizer.GetReport().SqnrDb, 5.0, 20.0);
                    loaded.Abandon();
                }
            }
        }

        private static void Checkpoints()
        {
            string path = Path.Combine(Golden.Folder, "ckpt_e8p_blockdiag");
            using (Checkpoint file = Checkpoint.Open(path))
            {
                Assert.Equal(7, file.LayerNames.Count(name => name.StartsWith("model.layers.0.",
                    StringComparison.Ordinal)));
                Assert.True(file.TensorNames.Count > 7 * 3);
                string su = file.TensorNames.First(name => name.EndsWith(".SU", StringComparison.Ordinal));
                View view = file.GetTensor(su);
                Assert.Equal(DType.F16, view.DType);
                Assert.True(view.IsReadOnly);
                Assert.True(view.ToArray<Half>().All(value => Math.Abs((float)value) == 1));
                using (Tensor weight = file.Load(file.LayerNames[0], Fixture.Context))
                {
                    Assert.Equal(TensorEncoding.E8P, weight.Encoding);
                }
                long count;
                Assert.Equal(Bad, glq_checkpoint_tensor_count(file.Handle, null));
                Check(glq_checkpoint_layer_count(file.Handle, &count));
                Assert.Equal((long)file.LayerNames.Count, count);
            }
        }
    }
}
