"""What sort of work each ATen operator is; the names are those of PyTorch's native_functions.yaml, without overload."""

from modelwright.records import Kind

_NAMES: dict[Kind, str] = {
    "convolution": """conv1d conv2d conv3d convolution _convolution conv_transpose1d conv_transpose2d conv_transpose3d
        conv_tbc""",
    "product": "linear matmul mm bmm addmm baddbmm addbmm mv dot vdot einsum bilinear inner tensordot",
    "attention": "scaled_dot_product_attention",
    "norm": """batch_norm layer_norm group_norm instance_norm rms_norm native_layer_norm native_group_norm
        native_batch_norm _native_batch_norm_legit_no_training _fused_rms_norm _weight_norm""",
    "softmax": "softmax _softmax log_softmax _log_softmax",
    "activation": """relu relu6 silu gelu hardswish hardsigmoid sigmoid tanh leaky_relu elu mish softplus hardtanh
        prelu _prelu_kernel selu celu log_sigmoid threshold glu hardshrink softshrink rrelu clamp clamp_min
        clamp_max""",
    "elementwise": """add sub subtract mul multiply div divide true_divide pow exp exp2 expm1 log log2 log1p sqrt
        rsqrt neg abs where maximum minimum eq ne lt le gt ge masked_fill lerp addcmul addcdiv bitwise_and
        bitwise_or bitwise_not bitwise_xor logical_and logical_or logical_not logical_xor floor ceil round trunc sin
        cos tan atan atan2 asin acos sinh cosh erf erfc reciprocal square fmod remainder floor_divide rsub
        nan_to_num sign sgn tril triu isnan isinf isfinite logit xlogy fmin fmax bernoulli hypot __and__ __or__
        __xor__ bitwise_left_shift bitwise_right_shift angle outer kron clip frac sinc isclose ldexp signbit
        float_power lgamma deg2rad rad2deg bucketize searchsorted linalg_cross""",
    "reduction": """mean sum amax amin aminmax max min var std var_mean std_mean norm linalg_vector_norm logsumexp
        argmax argmin prod any all cumsum cumprod topk sort argsort median count_nonzero nansum nanmean
        cosine_similarity cdist pairwise_distance linalg_vecdot""",
    "pool": """max_pool1d max_pool2d max_pool3d max_pool2d_with_indices avg_pool1d avg_pool2d avg_pool3d
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        adaptive_max_pool3d fractional_max_pool2d""",
    "resample": """upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d
        upsample_linear1d upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa _upsample_nearest_exact2d
        grid_sampler grid_sampler_2d grid_sampler_3d affine_grid_generator""",
    "recurrence": "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell",
    "gather": """embedding embedding_bag index index_select gather take take_along_dim index_put index_add scatter
        scatter_add scatter_reduce index_fill masked_select masked_scatter one_hot bincount nonzero""",
    "copy": """clone cat concat concatenate stack hstack vstack dstack column_stack pad constant_pad_nd reflection_pad1d
        reflection_pad2d replication_pad2d replication_pad1d _pad_circular roll repeat repeat_interleave tile flip rot90
        copy im2col col2im unfold_copy pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle
        slice_scatter select_scatter diagonal_scatter lift_fresh_copy _to_dense block_diag combinations
        cartesian_prod fft_fft fft_rfft2 fft_irfft2 fft_fft2 fft_ifft2 fft_rfft fft_irfft""",
    "cast": "to _to_copy type_as",
    "fill": """zeros ones full empty arange linspace logspace rand randn randint randperm eye zeros_like ones_like
        full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty scalar_tensor tensor zero fill
        hann_window""",
    "view": """view reshape flatten unflatten permute transpose movedim moveaxis swapaxes swapdims t mT unsqueeze
        squeeze expand expand_as alias detach slice select split split_with_sizes chunk unbind tensor_split narrow
        unfold view_as reshape_as contiguous dropout feature_dropout alpha_dropout as_strided diagonal numpy_T
        broadcast_to lift_fresh atleast_1d atleast_2d view_as_complex view_as_real positive _unsafe_view
        _reshape_alias ravel broadcast_tensors resolve_conj resolve_neg conj _conj real imag adjoint mH matrix_H
        hsplit vsplit dsplit meshgrid _assert_tensor_metadata _assert_async""",
}

KINDS: dict[str, Kind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}
"""ATen name -> the kind of its work; a name that is absent is "unknown"."""

SOMETIMES_COPIES = frozenset(
    {"reshape", "flatten", "reshape_as", "contiguous", "unflatten", "ravel", "_unsafe_view", "to", "type_as"}
)
"""Operators that are free when memory order and precision allow and that copy otherwise."""
