"""Archives are the same bytes for the same files, and what is packed runs."""

import asyncio
import json
import os
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import RecordError, SettingError
from modelwright.serve.instances import Instance, Launch, invocation_headers, start_instance, unpack
from modelwright.serve.packing import pack
from modelwright.serve.packing.extractive import DAMPING, rank, split, summarize, words

TEXT = """Dr. Smith went to Washington on Jan. 5. The city council of Washington met to discuss the new bridge. "Is it
safe?" asked one member. The bridge over the river will cost 3.5 million dollars, said the council. Nobody had seen the
plans of the bridge. It rained all day. The council will meet again to discuss the cost of the bridge and the river."""


def served(folder: Path, record: Path, *bodies: tuple[bytes, str, str], **environment: str) -> list[tuple[int, bytes]]:
    """What an instance of a model's folder answers."""

    async def main() -> list[tuple[int, bytes]]:
        more = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
        instance: Instance = await start_instance(
            Launch(folder, record, environment={**os.environ, **more}), patience_s=120
        )
        try:
            return [await one(instance, *body) for body in bodies]
        finally:
            await instance.stop()

    async def one(instance: Instance, body: bytes, kind: str, accept: str) -> tuple[int, bytes]:
        async with instance.invoke(invocation_headers(kind, accept), body, deadline_s=60) as answer:
            return answer.status, await answer.read()

    return asyncio.run(main())


def filled(folder: Path, *order: str) -> Path:
    for name in order:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}")
    return folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = filled(tmp_path / "one", "code/inference.py", "weights/a", "weights/b")
    two = filled(tmp_path / "two", "weights/b", "weights/a", "code/inference.py")
    os.utime(two / "weights" / "a", (1, 1))
    (two / "weights" / "b").chmod(0o700)
    filled(two, "code/__pycache__/inference.pyc")
    made = [pack(folder, tmp_path / f"{folder.name}.tar.gz") for folder in (one, two)]
    assert made[0].sha256 == made[1].sha256
    unpack(tmp_path / "two.tar.gz", tmp_path / "out")
    assert {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    } == {
        "code/inference.py",
        "weights/a",
        "weights/b",
    }


def test_what_is_no_model_is_refused_and_no_archive_written(tmp_path: Path) -> None:
    target = tmp_path / "m.tar.gz"
    linked = filled(tmp_path / "linked", "code/inference.py")
    (linked / "link").symlink_to("/etc/passwd")
    for folder, script, lesson in (
        (filled(tmp_path / "bare", "weights"), "", "config.json"),
        (None, "", "config.json"),
        (linked, "", "plain files"),
        (filled(tmp_path / "own", "code/inference.py"), "generative", "one script"),
        (tmp_path / "none", "", "a folder"),
        (None, "strange", "known"),
    ):
        with pytest.raises(SettingError, match=lesson):
            pack(folder, target, script=script)
    assert not target.exists()


def test_the_extractive_summarizer_is_packed_and_served_alone(tmp_path: Path) -> None:
    pack(None, tmp_path / "m.tar.gz", script="extractive", requirements="numpy\n")
    unpack(tmp_path / "m.tar.gz", tmp_path / "model")
    assert (tmp_path / "model" / "code" / "requirements.txt").read_text() == "numpy\n"
    payload = json.dumps({"inputs": [TEXT, "One. Two."], "parameters": {"sentences": 2}}).encode()
    answers = served(
        tmp_path / "model",
        tmp_path / "record",
        (payload, "application/json", ""),
        (TEXT.encode(), "text/plain", "text/plain"),
        (b'{"inputs": 7}', "application/json", ""),
    )
    status, body = answers[0]
    assert status == 200
    told = json.loads(body)
    assert [one["method"] for one in told] == ["extractive", "extractive"]
    assert told[0]["summary_text"] == summarize(TEXT, 2)
    assert told[1]["summary_text"] == "One. Two."
    assert answers[1] == (200, summarize(TEXT).encode())
    assert answers[2][0] == 500
    assert '"installed":false' in (tmp_path / "record").read_text()  # requirements are told of, not installed


def test_sentences_end_where_a_reader_sees_it() -> None:
    assert split(TEXT)[:4] == [
        "Dr. Smith went to Washington on Jan. 5.",
        "The city council of Washington met to discuss the new bridge.",
        '"Is it safe?" asked one member.',
        "The bridge over the river will cost 3.5 million dollars, said the council.",
    ]
    assert split("J. R. Smith e.g. wrote. Then he left!  \n\nA title\n\nNo end") == [
        "J. R. Smith e.g. wrote.",
        "Then he left!",
        "A title",
        "No end",
    ]
    japanese = [
        "\u4eca\u65e5\u306f\u96e8\u3067\u3059\u3002",
        "\u660e\u65e5\u306f\u6674\u308c\uff1f",
        "\u306f\u3044\u3002",
    ]
    assert split("".join(japanese)) == japanese
    assert split("") == split(" \n ") == []


texts = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6), min_size=2, max_size=12)


@given(texts)
def test_ranks_are_those_of_pagerank_on_the_graph_of_likeness(sentences: list[list[str]]) -> None:
    """networkx's PageRank on the same graph, built pair by pair from the paper's formula of the cosine."""
    count = len(sentences)
    idf = {word: np.log(count / sum(word in one for one in sentences)) + 1 for one in sentences for word in one}

    def product(one: list[str], other: list[str]) -> float:
        return sum(one.count(word) * other.count(word) * idf[word] ** 2 for word in set(one) & set(other))

    graph = networkx.Graph()
    graph.add_nodes_from(range(count))
    for row, one in enumerate(sentences):
        for column, other in enumerate(sentences):
            cosine = product(one, other) / np.sqrt(product(one, one) * product(other, other))
            if abs(cosine - 0.1) < 1e-6:
                return  # on the threshold rounding decides
            if cosine > 0.1 and row != column:
                graph.add_edge(row, column)
    wanted = networkx.pagerank(graph, alpha=1 - DAMPING, tol=1e-12, max_iter=1000)
    assert rank(sentences) == pytest.approx([wanted[row] for row in range(count)], abs=1e-7)


@given(st.text(max_size=300), st.integers(1, 4))
def test_a_summary_is_made_of_the_texts_own_sentences_in_their_order(text: str, count: int) -> None:
    found, chosen = split(text), summarize(text, count)
    assert summarize(text, len(found) or 1) == " ".join(found)
    for sentence in found:
        if chosen.startswith(sentence):
            chosen = chosen[len(sentence) :].lstrip()
    assert chosen == ""


def test_a_sentence_that_is_like_no_other_ranks_last() -> None:
    shares = rank([["a", "b"], ["a", "c"], ["x", "y"], ["a", "d"]])
    assert shares.argmin() == 2
    assert shares.sum() == pytest.approx(1)
    assert shares[[0, 1, 3]] == pytest.approx(shares[0])


def test_words_are_words() -> None:
    assert words("It's the Council's 3.5-million “Bridge”!") == ["it's", "the", "council's", "3", "5-million", "bridge"]


def generated(folder: Path, text: str, **parameters: int) -> str:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    tokens = tokenizer([text], truncation=True, return_tensors="pt", return_token_type_ids=False)
    return tokenizer.batch_decode(network.generate(**tokens, **parameters), skip_special_tokens=True)[0].strip()


def test_a_packed_pegasus_answers_as_its_network_generates(pegasus: Path, tmp_path: Path) -> None:
    made = pack(pegasus, tmp_path / "m.tar.gz", script="generative")
    assert made == pack(pegasus, tmp_path / "m.tar.gz", script="generative")
    unpack(tmp_path / "m.tar.gz", tmp_path / "model")
    text = "the cat sat on the mat"
    payload = json.dumps({"inputs": text, "parameters": {"max_new_tokens": 8, "num_beams": 2}}).encode()
    [(status, body)] = served(tmp_path / "model", tmp_path / "record", (payload, "application/json", ""))
    assert status == 200
    assert json.loads(body) == [{"summary_text": generated(pegasus, text, max_new_tokens=8, num_beams=2)}]


def test_a_hugging_face_model_without_a_script_is_served_by_its_task(pegasus: Path, tmp_path: Path) -> None:
    text = "a dog ran under the hill"
    payload = json.dumps({"inputs": text, "parameters": {"max_new_tokens": 8}}).encode()
    wanted = generated(pegasus, text, max_new_tokens=8)
    for task, key in (("summarization", "summary_text"), ("", "generated_text")):
        bodies = [(body, "application/json", "") for body in (payload, b"[]")]
        answers = served(pegasus, tmp_path / "record", *bodies, HF_TASK=task)
        assert (answers[0][0], json.loads(answers[0][1])) == (200, [{key: wanted}])
        assert answers[1][0] == 400


def test_a_model_of_the_hub_is_loaded_by_its_name(pegasus: Path, tmp_path: Path) -> None:
    """A folder's name stands for one of the hub, which transformers loads by the same function."""
    (tmp_path / "empty").mkdir()
    named = {"HF_MODEL_ID": str(pegasus), "HF_TASK": "summarization"}
    [(status, body)] = served(tmp_path / "empty", tmp_path / "record", (b"the cat sat", "text/plain", ""), **named)
    assert (status, list(json.loads(body)[0])) == (200, ["summary_text"])


def test_a_damaged_archive_is_told_of(tmp_path: Path) -> None:
    pack(None, tmp_path / "m.tar.gz", script="extractive")
    content = (tmp_path / "m.tar.gz").read_bytes()
    (tmp_path / "m.tar.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(RecordError, match="whole tar file"):
        unpack(tmp_path / "m.tar.gz", tmp_path / "model")
