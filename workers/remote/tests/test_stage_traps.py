"""The traps that were found on this stack, each held open by a test: what the libraries do silently, the stages do not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stage_kit as kit
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from nagi_worker.errors import NagiError
from nagi_worker.stages.adapters import add_lora, attach_adapter
from nagi_worker.stages.data import Document, PackedRow, pack
from nagi_worker.stages.generate import Decoding, choose, generate, uniforms
from nagi_worker.stages.job import Input, Job
from nagi_worker.stages.models import check_launch, load_causal, load_reward, start_model
from nagi_worker.stages.scoring import RewardModel, positive_label, rewards_of, score_ids
from nagi_worker.stages.sft import collate
from nagi_worker.stages.texts import Texts

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write_model(tmp_path_factory.mktemp("base"), dtype=torch.float16)


@pytest.fixture(scope="module")
def texts(base: Path) -> Texts:
    return Texts(base)


def plain(folder: Path) -> Any:
    return load_causal(Input(str(folder), "model"), torch.float32)


def test_the_type_is_the_launchs_and_not_the_configs(base: Path) -> None:
    assert json.loads((base / "config.json").read_text(encoding="utf-8"))["dtype"] == "float16"
    assert plain(base).dtype == torch.float32
    assert load_causal(Input(str(base), "model"), torch.bfloat16).dtype == torch.bfloat16


def test_an_adapter_on_the_output_matrix_is_there(base: Path) -> None:
    """transformers 5 calls it lm_head: a target "embed_out" beside others matches nothing, and PEFT says nothing."""
    peft = {**kit.LORA, "target_modules": ["query_key_value", "embed_out"]}
    adapted = add_lora(plain(base), peft, 1)
    names = [name for name, one in adapted.named_parameters() if one.requires_grad]
    assert any("lm_head.lora_A" in name for name in names)


def test_a_target_that_names_nothing_is_refused(base: Path) -> None:
    for targets in (["query_key_value", "q_proj"], ["q_proj"]):
        with pytest.raises(NagiError) as caught:
            add_lora(plain(base), {**kit.LORA, "target_modules": targets}, 1)
        assert caught.value.code == "config.invalid"
        assert caught.value.details["path"] == "peft.target_modules"


def stored_adapter(base: Path, folder: Path) -> Path:
    adapted = add_lora(plain(base), {**kit.LORA, "target_modules": ["query_key_value", "embed_out"]}, 1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.05)
    adapted.save_pretrained(folder)
    return folder


def test_stored_adapters_load_by_either_name_of_the_output_matrix_and_never_in_part(base: Path, tmp_path: Path) -> None:
    folder = stored_adapter(base, tmp_path / "adapter")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected = attach_adapter(plain(base), folder)(input_ids=ids).logits
        unadapted = plain(base)(input_ids=ids).logits
    assert not torch.allclose(expected, unadapted, atol=1e-3)
    file, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    tensors = load_file(file)
    save_file({name.replace("lm_head", "embed_out"): one for name, one in tensors.items()}, file)
    config.write_text(config.read_text(encoding="utf-8").replace("lm_head", "embed_out"), encoding="utf-8")
    with torch.no_grad():
        assert torch.equal(attach_adapter(plain(base), folder)(input_ids=ids).logits, expected)
    # As the stages write it: without the base's own matrix.
    save_file({name: one for name, one in tensors.items() if "base_layer" not in name}, file)
    with torch.no_grad():
        assert torch.equal(attach_adapter(plain(base), folder)(input_ids=ids).logits, expected)
    save_file({**tensors, "base_model.model.gpt_neox.nothing.lora_A.weight": torch.ones(2, 2)}, file)
    with pytest.raises(NagiError, match="has no place"):
        attach_adapter(plain(base), folder)
    missing = next(name for name in tensors if "lora_A" in name)
    save_file({name: one for name, one in tensors.items() if name != missing}, file)
    with pytest.raises(NagiError) as caught:
        attach_adapter(plain(base), folder)
    assert caught.value.code == "model.tensor_missing"


@pytest.mark.parametrize(
    ("names", "column"), [(["negative", "positive"], 1), (["positive", "negative"], 0), (["LABEL_0", "LABEL_1"], 1)]
)
def test_a_classifier_of_two_labels_is_not_upside_down(names: list[str], column: int, tmp_path: Path) -> None:
    """Libraries take logits[:, 0] as the reward: the negative class."""
    folder = kit.write_classifier(tmp_path / "judge", names)
    judge = RewardModel(Input(str(folder), "reward_model"), torch.float32, CPU)
    assert judge.positive == column
    ids, _ = judge.texts.encode_text("とても良い商品です。", 48)
    with torch.no_grad():
        logits = judge.model(input_ids=torch.tensor([ids])).logits[0]
    assert judge.score(["とても良い商品です。"])[0] == pytest.approx(
        float(logits[column] - logits[1 - column]), abs=1e-6
    )


def test_rewards_of_one_and_two_logits_and_a_refusal_of_three() -> None:
    assert rewards_of(torch.tensor([[1.5], [-2.0]])).tolist() == [1.5, -2.0]
    assert rewards_of(torch.tensor([[1.0, 4.0]])).tolist() == [3.0]
    with pytest.raises(NagiError) as caught:
        positive_label(SimpleNamespace(num_labels=3, id2label={0: "a", 1: "b", 2: "c"}))
    assert caught.value.code == "model.bad_config"


def test_rloo_is_given_a_function_that_says_the_positive_difference(tmp_path: Path) -> None:
    from nagi_worker.stages.rloo import reward_function

    judge = RewardModel(
        Input(str(kit.write_classifier(tmp_path / "j", ["negative", "positive"])), "m"), torch.float32, CPU
    )
    rewards = reward_function(judge, judge.texts, 1.0)
    ids = judge.texts.encode("良い")
    found = rewards(
        prompts=["とても", "とても"], completions=["", ""], completion_ids=[[*ids, judge.texts.eos_id], ids]
    )
    expected = judge.score([judge.texts.decode([*judge.texts.encode("とても"), *ids])])[0]
    assert found == pytest.approx([expected, expected - 1])


def test_the_end_of_text_has_the_id_0_and_padding_another(base: Path, texts: Texts, tmp_path: Path) -> None:
    assert texts.eos_id == 0 and texts.pad_id == 1
    assert texts.encode_text("良い", 10)[0][-1] == 0
    # A tokenizer whose padding is its end of text: a classifier would read the token before the closing EOS.
    copy = kit.write_model(tmp_path / "copy")
    config = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["pad_token"] = config["eos_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert Texts(copy).pad_id not in (None, Texts(copy).eos_id)


def test_batches_of_texts_are_scored_as_alone(tmp_path: Path) -> None:
    """open-calm's config has no pad_token_id: without one transformers refuses batches, with EOS it reads a wrong token."""
    folder = kit.write_classifier(tmp_path / "judge", ["reward"], pad_token_id=None)
    judge = RewardModel(Input(str(folder), "reward_model"), torch.float32, CPU)
    assert judge.model.config.pad_token_id == judge.texts.pad_id != judge.texts.eos_id
    sentences = ["良い。", "とても良い商品でした。また買います。", "だめ"]
    together = judge.score(sentences)
    assert together == pytest.approx([judge.score([one])[0] for one in sentences], abs=1e-5)
    ids, _ = judge.texts.encode_text(sentences[0], 48)
    with torch.no_grad():
        hidden = judge.model.gpt_neox(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    assert ids[-1] == judge.texts.eos_id
    assert together[0] == pytest.approx(float(judge.model.score(hidden)), abs=1e-5)


def test_texts_longer_than_a_reward_model_was_trained_with_are_cut(tmp_path: Path) -> None:
    folder = kit.write_classifier(tmp_path / "judge", ["reward"], nagi_reward={"threshold": 0.5, "max_length": 4})
    judge = RewardModel(Input(str(folder), "reward_model"), torch.float32, CPU)
    long = "とても良い商品でした。また買います。"
    ids = judge.texts.encode(long)
    assert judge.score([long])[0] == pytest.approx(
        score_ids(judge.model, [[*ids[:3], 0]], pad_id=1, positive=0, device=CPU)[0], abs=1e-6
    )


def test_the_score_head_stays_float32_beside_half_precision(base: Path, tmp_path: Path) -> None:
    model = load_reward(Input(str(base), "model"), torch.bfloat16, 1)
    assert model.score.weight.dtype == torch.float32
    stage = {**kit.REWARD, "peft": kit.LORA}
    folder = kit.write_job(tmp_path / "run", stage, {"model": kit.model_input(base)}, launch={"precision": "bfloat16"})
    adapted, _ = start_model(Job.read(folder), "reward")
    trained = {name: one for name, one in adapted.named_parameters() if one.requires_grad}
    assert any("score" in name for name in trained)
    assert {one.dtype for one in trained.values()} == {torch.float32}
    assert adapted.get_base_model().gpt_neox.embed_in.weight.dtype == torch.bfloat16


def test_a_reward_model_in_half_precision_says_nearly_the_same(tmp_path: Path) -> None:
    source = Input(str(kit.write_classifier(tmp_path / "judge", ["reward"])), "reward_model")
    sentences = ["良い。", "とても良い商品でした。", "だめ"]
    full = RewardModel(source, torch.float32, CPU).score(sentences)
    assert RewardModel(source, torch.bfloat16, CPU).score(sentences) == pytest.approx(full, abs=0.05)


def test_token_ids_are_those_of_the_file_without_a_forced_normaliser(base: Path, texts: Texts) -> None:
    """transformers' GPTNeoXTokenizer adds NFC to files that have no normaliser."""
    plain_tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    for text in ("か\u3099くせい", "ｶﾞﾊﾟ 全角ＡＢＣ①", "髙﨑𠮷野家", "<|endoftext|>途中"):
        assert texts.encode(text) == plain_tokenizer.encode(text, add_special_tokens=False).ids
    assert texts.encode("か\u3099") != texts.encode("が")


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(base: Path) -> None:
    """Drawn with the studio's numbers, whatever torch's generator did before."""

    def matrix(seed: int) -> torch.Tensor:
        torch.rand(7)
        adapted = add_lora(plain(base), kit.LORA, seed)
        return next(one.detach() for name, one in adapted.named_parameters() if "lora_A" in name)

    assert torch.equal(matrix(4), matrix(4))
    assert not torch.equal(matrix(4), matrix(5))
    assert float(matrix(4).abs().max()) <= 16**-0.5


def test_packed_texts_do_not_see_each_other(base: Path) -> None:
    """Positions that begin anew keep documents apart, in rows of several lengths, without a cache."""
    model = plain(base).eval()
    documents = [Document([5, 9, 8, 3, 0], 0), Document([7, 4, 0], 0), Document([6, 0], 0)]
    rows = [PackedRow(documents[:2]), PackedRow(documents[2:])]
    batch = collate([row.columns() for row in rows], 1)
    assert int(batch["num_tokens"]) == 10
    with torch.no_grad():
        packed = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
        alone = [model(input_ids=torch.tensor([one.ids]), use_cache=False).logits[0] for one in documents]
    assert torch.allclose(packed[0, :5], alone[0], atol=1e-5)
    assert torch.allclose(packed[0, 5:8], alone[1], atol=1e-5)
    assert torch.allclose(packed[1, :2], alone[2], atol=1e-5)
    assert batch["labels"][0].tolist() == [-100, 9, 8, 3, 0, -100, 4, 0]
    assert batch["labels"][1].tolist() == [-100, 0] + [-100] * 6


def test_run_on_text_is_cut_and_keeps_what_is_not_learnt() -> None:
    rows = pack([Document([1, 2, 3], 1), Document([4, 5, 6, 7], 2)], "wrapped", 5)
    assert [row.columns()["input_ids"] for row in rows] == [[1, 2, 3, 4, 5], [6, 7]]
    assert rows[0].columns()["labels"] == [-100, 2, 3, -100, -100]
    assert rows[1].columns()["labels"] == [-100, 7]


def test_continuations_do_not_depend_on_padding_or_on_the_batch(base: Path) -> None:
    model = plain(base).eval()
    prompts = [[5, 9, 8, 3], [7], [6, 2]]
    decoding = Decoding(6, 0.9, top_k=50, top_p=0.9)
    random = uniforms(3, 6, 11)
    rules = {"eos_id": 0, "pad_id": 1, "positions": 64}
    together = generate(model, prompts, decoding, random, **rules)
    for index, prompt in enumerate(prompts):
        assert generate(model, [prompt], decoding, random[[index]], **rules)[0] == together[index]
    greedy = generate(model, prompts, Decoding(3, 0), random, **rules)
    ids = list(prompts[1])
    with torch.no_grad():
        for token in greedy[1].ids:
            assert int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()) == token
            ids.append(token)


def test_a_text_ends_with_eos_or_with_the_models_positions(base: Path) -> None:
    model = plain(base).eval()
    with torch.no_grad():
        model.lm_head.weight[0] = 0
    random = uniforms(1, 8, 1)
    cut = generate(model, [[5] * 62], Decoding(8, 1.0), random, eos_id=9000, pad_id=1, positions=64)[0]
    assert len(cut.ids) == 2 and not cut.finished
    first = generate(model, [[5, 6]], Decoding(8, 1.0), random, eos_id=9000, pad_id=1, positions=64)[0].ids
    ended = generate(model, [[5, 6]], Decoding(8, 1.0), random, eos_id=first[2], pad_id=1, positions=64)[0]
    assert ended.finished and ended.ids == first[: first.index(first[2]) + 1]


def test_choices_follow_the_distribution_and_its_cuts() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]]).expand(4000, 4)
    numbers = torch.linspace(0, 1 - 1e-9, 4000, dtype=torch.float64)
    shares = torch.bincount(choose(logits, numbers, Decoding(1, 1.0)), minlength=4) / 4000
    assert torch.allclose(shares, logits[0].softmax(-1), atol=1e-3)
    assert set(choose(logits, numbers, Decoding(1, 1.0, top_k=2)).tolist()) == {1, 2}
    assert set(choose(logits, numbers, Decoding(1, 1.0, top_p=0.6)).tolist()) == {2}
    assert set(choose(logits, numbers, Decoding(1, 0)).tolist()) == {2}
    assert int(choose(logits[:1], torch.tensor([1.0], dtype=torch.float64), Decoding(1, 1.0))) == 2


@pytest.mark.parametrize(
    ("launch", "path"),
    [({"quantization": "8bit"}, "quantization"), ({"precision": "float16"}, "precision")],
)
def test_what_a_machine_cannot_do_is_refused_before_anything_is_loaded(launch: dict[str, Any], path: str) -> None:
    with pytest.raises(NagiError) as caught:
        check_launch({**kit.LAUNCH, **launch}, cuda=False)
    assert caught.value.details["path"] == f"launch.{path}"


def test_trainings_settings_are_said_where_the_libraries_defaults_differ(base: Path, tmp_path: Path) -> None:
    """trl's configs default to bf16 and gradient checkpointing; transformers leaves biases and norms without decay."""
    from trl import DPOConfig, SFTConfig

    from nagi_worker.stages.training import OrderedTrainerMixin, training_arguments

    folder = kit.write_job(tmp_path / "run", kit.SFT, {"model": kit.model_input(base)})
    for config in (SFTConfig, DPOConfig):
        arguments = config(**training_arguments(Job.read(folder), 7))
        assert arguments.bf16 is False and arguments.fp16 is False and arguments.gradient_checkpointing is False
        assert arguments.use_cpu is True and arguments.get_warmup_steps(7) == 1
    names = OrderedTrainerMixin().get_decay_parameter_names(plain(base))
    assert any(name.endswith("bias") for name in names) and any("layernorm" in name for name in names)
