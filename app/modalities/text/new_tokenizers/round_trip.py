"""Trials of tokenizers: a text is compared with the text that its tokens decode to."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tokenizers import Encoding, Tokenizer

from app.datasets.sampling import DocumentSample
from app.methods.tokenizers import TokenizerOptions, TokenizerReport
from app.modalities.text.items import TokenInfo
from app.modalities.text.new_tokenizers.choice import choose_tokenizer
from app.modalities.text.new_tokenizers.kinds import train
from app.modalities.text.tokenizers import find_unit
from app.modalities.text.unknown import find_unknown

SAMPLE_CHARS = 50_000  # of all files together, on which a tokenizer is chosen and tried
TRIAL_CHARS = {"unigram": 10_000}  # on which a tokenizer of the kind is trained to try it; others get the whole sample
_DOCUMENT_CHARS = 10_000
_EXAMPLES = 10


def sample_texts(samples: Sequence[DocumentSample]) -> list[str]:
    """Returns the first texts of all files, at most SAMPLE_CHARS together. Long ones are cut."""
    texts = []
    for sample in samples:
        left = SAMPLE_CHARS // len(samples)
        for text in sample.texts:
            texts.append(text[: min(left, _DOCUMENT_CHARS)])
            left -= len(texts[-1])
            if left <= 0:
                break
    return texts


def resolve_kind(options: TokenizerOptions, texts: Sequence[str]) -> tuple[TokenizerOptions, str]:
    """Returns (the options with a kind instead of auto, why)."""
    if options.tokenizer != "auto":
        return options, "as requested"
    choice = choose_tokenizer(texts, options)
    return options.model_copy(update={"tokenizer": choice.kind}), choice.reason


def try_tokenizer(options: TokenizerOptions, texts: Sequence[str]) -> tuple[Tokenizer, TokenizerReport]:
    """Trains a tokenizer on a sample and reports what it loses.

    Raises:
        InvalidValue: The options do not suit the texts.
    """
    resolved, reason = resolve_kind(options, texts)
    left, some = TRIAL_CHARS.get(resolved.tokenizer, SAMPLE_CHARS), []
    for text in texts:
        some.append(text[:left])
        left -= len(some[-1])
        if left <= 0:
            break
    tokenizer = train(some, resolved).tokenizer
    return tokenizer, report_losses(tokenizer, texts, resolved.tokenizer, reason)


def tokenize_with_new(
    options: TokenizerOptions, sample: Sequence[str], texts: Sequence[str], *, add_special_tokens: bool
) -> tuple[TokenizerReport, list[list[TokenInfo]]]:
    """Tokenizes texts with the tokenizer that a job on the sample would train.

    Raises:
        InvalidValue: The options do not suit the sample.
    """
    tokenizer, chosen = try_tokenizer(options, sample)
    report = report_losses(tokenizer, texts, chosen.type, chosen.reason)
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=add_special_tokens)
    return report, [list(_tokens(text, each)) for text, each in zip(texts, encoded, strict=True)]


def _tokens(text: str, encoding: Encoding) -> Iterator[TokenInfo]:
    for index, (number, special) in enumerate(zip(encoding.ids, encoding.special_tokens_mask, strict=True)):
        if special:
            yield TokenInfo(number, encoding.tokens[index], True, None, None)
        else:
            start, stop = encoding.token_to_chars(index) or (0, 0)
            yield TokenInfo(number, text[start:stop], False, start, stop)


def report_losses(tokenizer: Tokenizer, texts: Sequence[str], kind: str, reason: str) -> TokenizerReport:
    """Encodes and decodes the texts, and compares. tokenizer: without truncation and padding."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    decoded = tokenizer.decode_batch([each.ids for each in encoded])
    changes: dict[str, None] = {}
    lost: Counter[str] = Counter()
    special = re.compile("|".join(re.escape(each) for each in _special_tokens(tokenizer)) or r"(?!)")
    for text, back in zip(texts, decoded, strict=True):
        text = special.sub("", text)  # decoding leaves out special tokens, also those that a text spells out
        if text != back:
            found, gone = _compare(text, back)
            changes[found] = None
            lost += gone
    unknown = find_unknown(tokenizer, texts)
    return TokenizerReport(
        type=kind,
        reason=reason,
        vocabulary=tokenizer.get_vocab_size(),
        tokens=sum(len(each.ids) for each in encoded),
        unknown_share=round(unknown.share, 4),
        lossless=not changes,
        changes=tuple(changes),
        lost=tuple(character for character, _ in lost.most_common(_EXAMPLES)),
        unit=find_unit(tokenizer),
    )


def _special_tokens(tokenizer: Tokenizer) -> list[str]:
    """Returns the special tokens as they stand in texts, the longest first."""
    found = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    return sorted(found, key=len, reverse=True)


def _compare(text: str, back: str) -> tuple[str, Counter[str]]:
    """Returns (the least kind of change that explains the difference, characters that are lost)."""
    steps: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("Unicode form", partial(unicodedata.normalize, "NFC")),
        ("white space", lambda each: "".join(each.split())),
        ("case", str.casefold),
    )
    for name, normalize in steps:
        exact, exact_back = text, back
        text, back = normalize(text), normalize(back)
        if text == back:
            return name, Counter()
    gone = Counter(text) - Counter(back)  # letters that only change their case are not lost
    rest = Counter(exact) - Counter(exact_back)
    return "characters", Counter({c: count for c, count in rest.items() if any(gone[each] for each in c.casefold())})
