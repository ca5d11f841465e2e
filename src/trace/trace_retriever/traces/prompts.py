"""What a teacher is told: how to write a trace for each kind of query, how to judge, how to verify.

The trace's form is the paper's (section on M-BEIR-CoT): `<reasoning>…</reasoning><answer>…</answer>`; for
composed retrieval the reasoning names the source state, the operation and the invariant context, for
knowledge tasks it goes hop by hop. The wording is ours.
"""

from dataclasses import dataclass
from pathlib import Path

from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.examples import Example

WRITER = """\
You write training examples for a multimodal search engine that reasons before it searches. You are given \
one query (an instruction, and words, a picture, or both). Work out what the query is looking for and write \
it down.

Answer in exactly this form, with nothing before, between or after the two parts:
<reasoning>...</reasoning><answer>...</answer>

Reasoning: 2 to 6 short sentences, 16 to 200 words, that lead from what the query states to what it looks \
for. State only what the query, its picture or reliable general knowledge bears out. Do not repeat yourself.
Answer: 2 to 50 words that describe the thing searched for, concretely enough to tell it from close \
look-alikes. Name it; do not describe how to find it.
Write plain English. No lists, no mark-up besides the four tags, no address to the reader, no apology. If \
details cannot be made out, leave them out."""

SIGHTED = """\
You are also shown the target, the item that the search should find. Use it only to choose between readings \
of the query that are all plausible. Every statement must follow from the query and general knowledge: the \
engine will not see the target, so never mention that a target was given, never quote it, and never use a \
detail of it that nobody could infer from the query."""

GUIDANCE = {
    "composed": """\
This is composed retrieval: a source picture and a request to change it. In the reasoning go through
1. the source state: begin with "Source:" and say what the picture shows, attributes and positions included;
2. the operation: begin with "Change:" and say what the request replaces, moves, adds or removes, step by \
step;
3. the invariant context: begin with "Kept:" and say what the request leaves as it is.
The answer describes the picture after the change, in full. It is never a description of the source.""",
    "visual_knowledge": """\
This is a knowledge question about a picture. In the reasoning go hop by hop: first identify the entity in \
the picture that the question is about and say by which visible features; then state each fact that leads on \
from it, one sentence a hop, until the question is answered. The answer names the entity and the fact that \
is asked for.""",
    "text_knowledge": """\
This is a question over a body of text. In the reasoning go hop by hop: name the entities in the question, \
then each fact that links one to the next, one sentence a hop, until the question is answered. The answer \
states the fact as the text that is searched for would.""",
    "caption_to_image": """\
The words describe a picture to be found. In the reasoning resolve what the words imply: who or what, where, \
when, which action, which relations between things. The answer describes the picture as it would look.""",
    "image_to_text": """\
The picture is to be matched with a text about it. In the reasoning say what the picture shows, the most \
telling things first, and what event or context they point to. The answer is a caption that fits this \
picture and no other.""",
    "image_to_image": """\
The picture is to be matched with one like it. In the reasoning say what makes it what it is: subject, \
arrangement, style, and which of these the instruction asks to share. The answer describes what a match must \
show.""",
    "text_to_both": """\
The words ask for a picture with text about it. In the reasoning name the entities and the event, and say \
what the picture would show and what the text would say. The answer describes both in one sentence.""",
}

JUDGE = """\
You sort queries for a multimodal search engine. An engine that encodes a query in one step finds what the \
query describes on its face. Some queries need more: a conclusion must be drawn before it is clear what to \
look for.

simple: the query itself already describes what is looked for: a caption for a picture, a picture for its \
like, a question whose words stand in the text that answers it, a picture plus words that name the target \
outright.
complex: the target must first be worked out: a change applied to a picture's content, a chain of two or \
more facts, a relation between things in the picture, an entity to be recognised before the question can be \
answered, counting, or exclusion.

Judge this one query, not its kind: how it is asked, whether it has a picture, and how long it is do not \
matter.
Answer with one JSON object and nothing else:
{"complexity": "simple" or "complex", "confidence": a number from 0 to 1}"""

VERIFIER = """\
You check training examples for a multimodal search engine that reasons before it searches. You are given a \
query, the target that the search should find, and a trace: reasoning and answer that were written for the \
query.

The trace is consistent only if all of this holds:
- its reasoning is borne out by the query, its picture and general knowledge; no step is invented or \
contradicts another;
- the reasoning leads to the answer;
- the answer fits the target, and would not fit a close look-alike equally well;
- where the query asks for a change to a picture, the answer describes the result, not the source.
Otherwise it is inconsistent. One wrong detail is enough.

Confidence is the probability that your decision is right. Be calibrated: use less than 0.7 when you cannot \
make out what decides.
Answer with one JSON object and nothing else:
{"decision": "consistent" or "inconsistent", "confidence": a number from 0 to 1}"""

_BY_TASK = {
    0: "caption_to_image",
    1: "text_knowledge",
    2: "text_to_both",
    3: "image_to_text",
    4: "image_to_image",
    6: "visual_knowledge",
    7: "composed",
    8: "visual_knowledge",
}
_COMPOSED = {"cirr", "fashioniq", "mojiedit", "mojiplain"}


@dataclass(frozen=True)
class Prompt:
    """Words of the system and the user, and the pictures that stand before the latter in order."""

    system: str
    text: str
    images: tuple[Path, ...]


def kind_of(pair: Pair) -> str:
    """Which guidance a pair's queries get, a key of `GUIDANCE`: by data set, else by task."""
    return "composed" if pair.dataset in _COMPOSED else _BY_TASK[pair.task]


def is_composed(pair: Pair) -> bool:
    """Whether a pair's queries ask for a change to a picture."""
    return kind_of(pair) == "composed"


def writer_prompt(example: Example, *, sees_target: bool) -> Prompt:
    """What a teacher that writes a trace is told.

    Args:
        example: the query; its target must be known when `sees_target`.
        sees_target: whether the target is shown (as in the paper) or not (to measure leakage).
    """
    system = "\n\n".join([WRITER, GUIDANCE[kind_of(example.pair)], *([SIGHTED] if sees_target else [])])
    return _prompt(system, example, shows_target=sees_target, ask="Write the two parts.")


def judge_prompt(example: Example) -> Prompt:
    """What a judge of complexity is told; it never sees the target."""
    return _prompt(JUDGE, example, shows_target=False, ask="Simple or complex?")


def verifier_prompt(example: Example, trace: Trace) -> Prompt:
    """What a verifier of a trace is told; it always sees the target, which must be known."""
    ask = f"Trace, reasoning: {trace.reasoning}\nTrace, answer: {trace.answer}\n\nConsistent or inconsistent?"
    return _prompt(VERIFIER, example, shows_target=True, ask=ask)


def _prompt(system: str, example: Example, *, shows_target: bool, ask: str) -> Prompt:
    lines = [f"Instruction: {example.instruction or '(none)'}"]
    images: list[Path] = []
    if example.words:
        lines.append(f"Query, words: {example.words}")
    if example.query.image:
        images.append(example.query.image)
        lines.append("Query, picture: the first picture.")
    if shows_target and (target := example.target):
        if target.text:
            lines.append(f"Target, words: {target.text}")
        if target.image:
            images.append(target.image)
            lines.append(f"Target, picture: the {'second' if example.query.image else 'first'} picture.")
    return Prompt(system, "\n".join(lines) + f"\n\n{ask}", tuple(images))
