"""Text to phones."""

import pytest

from audiotok.errors import SpeechError
from audiotok.tts import letter_to_sound, phones, text


def test_words_of_the_dictionary_between_silence():
    found = text.pronounce("Hello, world!")
    assert found.phones == ("SIL", "HH", "AH", "L", "OW", "SIL", "W", "ER", "L", "D", "SIL")
    assert not found.guessed
    assert min(phones.ids(found.phones)) == phones.SIL and phones.NUM_PHONES == 42


@pytest.mark.parametrize(
    "number, words",
    [
        ("7", "seven"),
        ("1,234", "one thousand two hundred thirty four"),
        ("20", "twenty"),
        ("100000000", "one hundred million"),
        ("007", "zero zero seven"),
        ("5000000000", "five billion"),
    ],
)
def test_numbers_are_read_out(number, words):
    assert text.pronounce(number).phones == text.pronounce(words).phones


def test_unknown_words_are_guessed_and_said_so():
    found = text.pronounce("the blorfing kokorot's")
    assert set(found.guessed) == {"blorfing", "kokorot's"}
    assert all(len(guess) > 3 for guess in found.guessed.values())
    assert text.pronounce("tulip's").phones[-3:] == ("P", "S", "SIL")
    assert text.pronounce("thicket's bench's").phones[-4:] == ("CH", "IH", "Z", "SIL")
    assert text.pronunciations("hello blorfing").keys() == {"blorfing"}


def test_guesses_resemble_the_dictionary():
    assert letter_to_sound.guess("nation")[-3:] == ["SH", "AH", "N"]
    assert letter_to_sound.guess("bat") == ["B", "AE", "T"]
    assert letter_to_sound.guess("'")


@pytest.mark.parametrize(
    "words, message",
    [
        ("", "has no word to speak"),
        ("... !?", "has no word to speak"),
        ("good morning мир", "the word 'мир' cannot be spoken"),
        ("hello " * 200, "phones, expected at most 400"),
        ("日本", "cannot be spoken"),
    ],
)
def test_what_cannot_be_spoken_is_refused(words, message):
    with pytest.raises(SpeechError, match=message) as error:
        text.pronounce(words)
    assert "\n" not in str(error.value)


def test_letters_with_marks_and_digits_in_words_are_spoken():
    assert text.pronounce("naïveté café").phones[0] == "SIL"
    assert text.pronounce("mp3").phones[-4:] == ("TH", "R", "IY", "SIL")


def test_names_that_are_no_phones_are_refused():
    with pytest.raises(SpeechError, match="'END' is no phone"):
        phones.ids(["AH", "END"])
