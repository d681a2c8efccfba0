package dev.headroom.memory.model;

import java.util.Arrays;
import java.util.Set;
import java.util.stream.Stream;

/** The keys of configurations that a model's memory can depend on. Each is known by the names different trainers give it. */
final class ConfigKeys {

    static final String[] LAYERS = {"num_hidden_layers", "n_layer", "n_layers", "num_layers"};
    static final String[] HIDDEN = {"hidden_size", "n_embd", "d_model", "n_embed", "dim"};
    static final String[] HEADS = {"num_attention_heads", "n_head", "n_heads"};
    static final String[] HEADS_KV = {"num_key_value_heads", "num_kv_heads", "n_head_kv", "attn_config.kv_n_heads"};
    static final String[] HEAD_LENGTH = {"head_dim", "attention_head_dim"};
    static final String[] FEED_FORWARD = {
        "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "ffn_config.ffn_hidden_size"
    };
    static final String[] CONTEXT = {"max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length"};
    static final String[] EXPERTS = {
        "num_local_experts", "num_experts", "n_routed_experts", "ffn_config.moe_num_experts"
    };
    static final String[] EXPERTS_USED = {"num_experts_per_tok", "num_experts_per_token", "ffn_config.moe_top_k"};
    static final String[] TYPE = {"torch_dtype", "dtype"};

    static final String[] CONV_KERNEL = {"mamba_d_conv", "conv_kernel", "d_conv", "conv_kernel_size"};
    static final String[] STATE_LENGTH = {"mamba_d_state", "state_size", "ssm_state_size", "d_state"};
    static final String[] GROUPS = {"mamba_n_groups", "n_groups", "mamba_ngroups"};
    static final String[] STATE_HEADS = {"mamba_n_heads", "mamba_num_heads"};
    static final String[] STATE_HEAD_LENGTH = {"mamba_d_head", "mamba_head_dim"};
    static final String[] EXPAND = {"mamba_expand", "expand"};

    /** All of them; anything else in a configuration is passed over. */
    static final Set<String> ALL = Set.copyOf(Stream.of(
                    LAYERS,
                    HIDDEN,
                    HEADS,
                    HEADS_KV,
                    HEAD_LENGTH,
                    FEED_FORWARD,
                    CONTEXT,
                    EXPERTS,
                    EXPERTS_USED,
                    TYPE,
                    CONV_KERNEL,
                    STATE_LENGTH,
                    GROUPS,
                    STATE_HEADS,
                    STATE_HEAD_LENGTH,
                    EXPAND,
                    new String[] {
                        "architectures",
                        "model_type",
                        "vocab_size",
                        "tie_word_embeddings",
                        "attention_bias",
                        "mlp_bias",
                        "bias",
                        "multi_query",
                        "new_decoder_architecture",
                        "moe_intermediate_size",
                        "n_shared_experts",
                        "first_k_dense_replace",
                        "shared_expert_intermediate_size",
                        "kv_lora_rank",
                        "q_lora_rank",
                        "qk_rope_head_dim",
                        "qk_nope_head_dim",
                        "v_head_dim",
                        "num_nextn_predict_layers",
                        "sliding_window",
                        "use_sliding_window",
                        "max_window_layers",
                        "sliding_window_pattern",
                        "attention_chunk_size",
                        "layer_types",
                        "num_kv_shared_layers",
                        "full_attention_interval",
                        "linear_conv_kernel_dim",
                        "linear_key_head_dim",
                        "linear_num_key_heads",
                        "linear_num_value_heads",
                        "linear_value_head_dim",
                        "mamba_d_ssm",
                        "num_heads",
                        "hybrid_override_pattern",
                        "attn_layer_indices",
                        "attn_layer_period",
                        "attn_layer_offset",
                        "conv_L_cache",
                        "quantization.bits",
                        "quantization.quant_method",
                        "quantization.load_in_4bit",
                        "quantization.load_in_8bit"
                    })
            .flatMap(Arrays::stream)
            .toList());

    private ConfigKeys() {}
}
