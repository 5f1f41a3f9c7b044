"""Which part of a completion speaks to the user: no thinking, no chat markers, no later turn.

Linear in the text.
"""

import re

NEAR_THE_END = 60  # characters of a prompt in which thinking that it opens begins

# What opens and what closes the thinking of a model, by the families that use it.
_NAMES = "think|thinking|thought|thoughts|reasoning|reason|reflection|scratchpad|analysis"
_THINK = re.compile(
    rf"<(?P<close>/?)\s*(?:{_NAMES}|seed:think|inner_thoughts?)\s*>"
    r"|\[(?P<close2>/?)(?:THINK|THINKING|REASONING)\]"
    r"|[◁◀<](?P<close3>/?)(?:think|thinking)[▷▶>]"
    r"|<\|(?P<word>begin|end|start|START|END)_?(?:of_)?(?:thought|thinking|THINKING|think)\|>"
    r"|<(?P<close4>/?)\|?(?:unused\d+)?\|?(?:think|thought)\|?>",
    re.IGNORECASE,
)
_THINK_SIGNS = ("<", "[", "◁", "◀")
_CHANNEL = re.compile(r"<\|channel\|>\s*(?P<name>\w+)[^<]*<\|message\|>")
_PLAIN_CHANNEL = re.compile(r"(?:^\s*analysis(?=[A-Z\d\\$])|assistantfinal|assistantanalysis)")
# "System:" and "Model:" head equations and plans too: with a colon they are no roles.
_SPEAKERS = "user|assistant|human|User|Assistant|Human|USER|ASSISTANT|HUMAN"
_ROLES = f"{_SPEAKERS}|system|model|SYSTEM"
_TURN = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|eot|end|end_of_text|start_header_id|end_header_id|eom_id"
    r"|begin_of_text|start|return|call|user|assistant|system|observation|END_OF_TURN_TOKEN"
    r"|START_OF_TURN_TOKEN|USER_TOKEN|CHATBOT_TOKEN|EOT)\|>"
    r"|<[｜|](?:User|Assistant|end▁of▁sentence|begin▁of▁sentence)[｜|]>"
    r"|</?s>|<end_of_turn>|<start_of_turn>|<eos>|<bos>|\[/?INST\]|<</?SYS>>"
    rf"|(?:^|\n)[ \t]*(?:#+[ \t]*|\*\*)?(?:{_SPEAKERS})[ \t]*(?:\*\*)?[ \t]*:(?:\*\*)?"
    rf"|(?:^|\n)[ \t]*(?:{_ROLES})[ \t]*(?=\n)"
    r"|(?:^|\n)[ \t]*(?:用户|助手|人类)[ \t]*[:：]"
)
_TURN_SIGNS = (
    "<|", "s>", "_of_turn>", "<eos>", "<bos>", "INST]", "SYS>>", "<｜", "uman", "ser", "USER",
    "HUMAN", "ssistant", "ASSISTANT", "ystem", "SYSTEM", "odel", "用户", "助手", "人类",
)  # fmt: skip
_TASK = "(?:problem|question|exercise)"
PROBLEM = re.compile(
    r"\n[ \t>]*(?:#+[ \t]*|\*\*[ \t]*|-{3,}\s+)?"
    r"(?:(?:Next|New|Another|Related|Similar|Follow-up)[ \t]+)?"
    r"(?:(?:Problem|Question|Exercise|Example|Task|Instruction|Q|Input|Aufgabe|Frage|Problema"
    r"|Pregunta|Problème|Exercice|Ejercicio|Esercizio|Exercício|Opgave|Uppgift|Zadanie|Soal|Soru"
    r"|Bài|Câu|Задача|Вопрос)\b[ \t]*#?\d*[ \t]*(?:\*\*)?[ \t]*[:.\n]"
    r"|\[(?:Question|Problem|Instruction|Task|Q|User|USER)\]"
    r"|(?:题目|问题|例题|练习题?|下一题|新问题|问|例|問題|문제|सवाल|प्रश्न)"
    r"[ \t]*[\d一二三四五六七八九十]*[ \t]*(?:\*\*)?[ \t]*[:：.、\n]|【(?:题目|问题|例|练习)\d*】"
    r"|(?:下面|接下来)?是?(?:另|下)一(?:个|道)(?:数学)?(?:问题|题)"
    rf"|(?:Next|New|Another|Similar) {_TASK}[:.]"
    r"|(?:(?:Now|Please|Here is|Here's|Let's),? )*"
    r"(?:(?:[Gg]iven|[Ss]olve|[Aa]nswer|[Cc]onsider|try) )?"
    rf"(?:the (?:following|next)|another) (?:\w+ )?{_TASK})"
)


def after_thinking(text: str, *, opened: bool = False) -> str | None:
    """The text behind all thinking; None where thinking was not closed.

    `opened` says that the prompt itself ends inside thinking.
    """
    if "<|channel|>" in text or "assistantfinal" in text or text.lstrip().startswith("analysis"):
        return _final_channel(text, opened)
    if not any(sign in text for sign in _THINK_SIGNS):
        return None if opened else text
    last = None
    for last in _THINK.finditer(text):  # noqa: B007
        pass
    if last is None:
        return None if opened else text
    closes = any(last[f"close{i}"] for i in ("", 2, 3, 4)) or (last["word"] or "").lower() == "end"
    return text[last.end() :] if closes else None


def opens_thinking(prompt_end: str) -> bool:
    """Whether a prompt that ends so has opened thinking, which the completion has to close."""
    return after_thinking(prompt_end[-NEAR_THE_END:]) is None


def _final_channel(text: str, opened: bool) -> str | None:
    """What stands in the last channel of a gpt-oss completion, None where that is no answer.

    Decoding may have left the special tokens out: "analysis...assistantfinal...".
    """
    channels = list(_CHANNEL.finditer(text))
    if channels:
        return text[channels[-1].end() :] if channels[-1]["name"] == "final" else None
    plain = list(_PLAIN_CHANNEL.finditer(text))
    if not plain:
        return None if opened else text
    return text[plain[-1].end() :] if plain[-1][0].endswith("final") else None


def first_turn(text: str) -> str:
    """The first turn that says anything, without chat markers."""
    if not any(sign in text for sign in _TURN_SIGNS):
        return text
    start = 0
    for match in _TURN.finditer(text):
        if text[start : match.start()].strip():
            return text[start : match.start()]
        start = match.end()
    return text[start:]
