"""Networks for the tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pegasus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEGASUS of one narrow layer with weights at random, as save_pretrained writes it."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    import torch

    torch.manual_seed(0)
    known = ("the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "hill")
    vocabulary = ["<pad>", "</s>", "<unk>", *(f"\u2581{word}" for word in known)]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.Unigram([(word, -float(place)) for place, word in enumerate(vocabulary)], unk_id=2)
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=32
    )
    config = transformers.PegasusConfig(
        vocab_size=len(vocabulary),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=1,
    )
    folder = tmp_path_factory.mktemp("pegasus")
    fast.save_pretrained(folder)
    transformers.PegasusForConditionalGeneration(config).save_pretrained(folder)
    return folder
