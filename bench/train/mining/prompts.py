"""What a generator is asked for texts that look like answers to a question and are none, in the language of the
documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapters.base import Prompt
from bench.experiment.negatives import QUERY
from bench.experiment.synthetic import PASSAGE
from bench.synthetic.prompts import COUNT, Manners, in_turns


@dataclass(frozen=True, slots=True)
class Example:
    """A question, a text that answers it, and one that only looks so."""

    question: str
    answer: str
    near: str


@dataclass(frozen=True, slots=True)
class Words:
    """Words of one language. one, many: what is asked for one text, and for several. question, answer, near: what
    stands before each."""

    one: str
    many: str
    question: str
    answer: str
    near: str
    examples: tuple[Example, ...]


LANGUAGES: dict[str, Words] = {
    "en": Words(
        "You get a question and a text that answers it. Write another text that looks like an answer and is none: of "
        "the same topic, in the same style and of about the same length, but without what the question asks for. Write "
        "it in the language of the text. Write the text alone.",
        "You get a question and a text that answers it. Write {count} different other texts that look like answers and "
        "are none: of the same topic, in the same style and of about the same length, but without what the question "
        "asks for. Write them in the language of the text. Write each on one line of its own, and nothing else.",
        "Question",
        "Text that answers it",
        "Text that does not",
        (
            Example(
                "how often does the heart of a blue whale beat",
                "The heart of a blue whale weighs about 180 kg and beats between 2 and 37 times a minute.",
                "The heart of a blue whale has four chambers, and its aorta is as wide as a dinner plate.",
            ),
            Example(
                "How do I send something back and when do I get my money?",
                "To return an item, open the order within 30 days, choose Return and print the label. The refund takes "
                "up to five working days.",
                "To change an order, open it before it is packed, choose Change and take another size. You get a "
                "message as soon as the parcel leaves.",
            ),
        ),
    ),
    "de": Words(
        "Du bekommst eine Frage und einen Text, der sie beantwortet. Schreibe einen anderen Text, der wie eine Antwort "
        "aussieht und keine ist: zum selben Thema, im selben Stil und etwa gleich lang, aber ohne das, wonach gefragt "
        "wird. Schreibe nur den Text.",
        "Du bekommst eine Frage und einen Text, der sie beantwortet. Schreibe {count} verschiedene andere Texte, die "
        "wie Antworten aussehen und keine sind: zum selben Thema, im selben Stil und etwa gleich lang, aber ohne das, "
        "wonach gefragt wird. Schreibe jeden in eine eigene Zeile und sonst nichts.",
        "Frage",
        "Text, der sie beantwortet",
        "Text, der es nicht tut",
        (
            Example(
                "Wie oft schlägt das Herz eines Blauwals?",
                "Das Herz eines Blauwals wiegt etwa 180 kg und schlägt 2- bis 37-mal in der Minute.",
                "Das Herz eines Blauwals hat vier Kammern, und seine Hauptschlagader ist so weit wie ein Essteller.",
            ),
        ),
    ),
    "fr": Words(
        "Tu reçois une question et un texte qui y répond. Écris un autre texte qui ressemble à une réponse sans en "
        "être une : sur le même sujet, dans le même style et d'à peu près la même longueur, mais sans ce que la "
        "question demande. Écris seulement le texte.",
        "Tu reçois une question et un texte qui y répond. Écris {count} autres textes différents qui ressemblent à des "
        "réponses sans en être : sur le même sujet, dans le même style et d'à peu près la même longueur, mais sans ce "
        "que la question demande. Écris chacun sur une seule ligne, et rien d'autre.",
        "Question",
        "Texte qui y répond",
        "Texte qui n'y répond pas",
        (
            Example(
                "À quelle fréquence bat le cœur d'une baleine bleue ?",
                "Le cœur d'une baleine bleue pèse environ 180 kg et bat de 2 à 37 fois par minute.",
                "Le cœur d'une baleine bleue a quatre cavités, et son aorte est large comme une assiette.",
            ),
        ),
    ),
    "es": Words(
        "Recibes una pregunta y un texto que la responde. Escribe otro texto que parezca una respuesta y no lo sea: "
        "del mismo tema, en el mismo estilo y de longitud parecida, pero sin lo que la pregunta pide. Escribe solo el "
        "texto.",
        "Recibes una pregunta y un texto que la responde. Escribe {count} textos distintos que parezcan respuestas y "
        "no lo sean: del mismo tema, en el mismo estilo y de longitud parecida, pero sin lo que la pregunta pide. "
        "Escribe cada uno en una sola línea, y nada más.",
        "Pregunta",
        "Texto que la responde",
        "Texto que no la responde",
        (
            Example(
                "¿Cada cuánto late el corazón de una ballena azul?",
                "El corazón de una ballena azul pesa unos 180 kg y late entre 2 y 37 veces por minuto.",
                "El corazón de una ballena azul tiene cuatro cavidades, y su aorta es tan ancha como un plato.",
            ),
        ),
    ),
    "it": Words(
        "Ricevi una domanda e un testo che vi risponde. Scrivi un altro testo che sembri una risposta e non lo sia: "
        "sullo stesso tema, nello stesso stile e di lunghezza simile, ma senza ciò che la domanda chiede. Scrivi solo "
        "il testo.",
        "Ricevi una domanda e un testo che vi risponde. Scrivi {count} altri testi diversi che sembrino risposte e non "
        "lo siano: sullo stesso tema, nello stesso stile e di lunghezza simile, ma senza ciò che la domanda chiede. "
        "Scrivi ognuno su una sola riga, e nient'altro.",
        "Domanda",
        "Testo che risponde",
        "Testo che non risponde",
        (
            Example(
                "Quante volte batte il cuore di una balenottera azzurra?",
                "Il cuore di una balenottera azzurra pesa circa 180 kg e batte da 2 a 37 volte al minuto.",
                "Il cuore di una balenottera azzurra ha quattro cavità, e la sua aorta è larga come un piatto.",
            ),
        ),
    ),
    "pt": Words(
        "Você recebe uma pergunta e um texto que a responde. Escreva outro texto que pareça uma resposta e não seja: "
        "sobre o mesmo tema, no mesmo estilo e de tamanho parecido, mas sem o que a pergunta pede. Escreva apenas o "
        "texto.",
        "Você recebe uma pergunta e um texto que a responde. Escreva {count} outros textos diferentes que pareçam "
        "respostas e não sejam: sobre o mesmo tema, no mesmo estilo e de tamanho parecido, mas sem o que a pergunta "
        "pede. Escreva cada um em uma única linha, e nada mais.",
        "Pergunta",
        "Texto que responde",
        "Texto que não responde",
        (
            Example(
                "Quantas vezes bate o coração de uma baleia-azul?",
                "O coração de uma baleia-azul pesa cerca de 180 kg e bate de 2 a 37 vezes por minuto.",
                "O coração de uma baleia-azul tem quatro cavidades, e sua aorta é larga como um prato.",
            ),
        ),
    ),
    "zh": Words(
        "下面是一个问题和一段回答它的文本。请写另一段看起来像答案、其实不是答案的文本："
        "主题、风格和长度相近，但不包含问题所问的内容。只写这段文本。",
        "下面是一个问题和一段回答它的文本。请写{count}段不同的、看起来像答案、其实不是答案的文本："
        "主题、风格和长度相近，但不包含问题所问的内容。每段写在单独一行，不要写其他内容。",
        "问题",
        "回答它的文本",
        "没有回答它的文本",
        (
            Example(
                "蓝鲸的心脏每分钟跳多少次？",
                "蓝鲸的心脏重约180公斤，每分钟跳动2到37次。",
                "蓝鲸的心脏有四个腔室，主动脉和餐盘一样宽。",
            ),
        ),
    ),
    "ja": Words(
        "質問と、それに答える本文があります。答えのように見えて答えになっていない別の文章を書いてください。"
        "話題、文体、長さは同じくらいで、質問が求める内容を含まないものにしてください。文章だけを書いてください。",
        "質問と、それに答える本文があります。答えのように見えて答えになっていない別の文章を{count}個、互いに異なるように"
        "書いてください。話題、文体、長さは同じくらいで、質問が求める内容を含まないものにしてください。"
        "一行に一つの文章だけを書いてください。",
        "質問",
        "答える本文",
        "答えない文章",
        (
            Example(
                "シロナガスクジラの心臓は毎分何回拍動しますか",
                "シロナガスクジラの心臓は約180キログラムで、毎分2回から37回拍動する。",
                "シロナガスクジラの心臓には四つの部屋があり、大動脈は皿ほどの太さがある。",
            ),
        ),
    ),
    "ko": Words(
        "질문과 그 질문에 답하는 본문이 있습니다. 답처럼 보이지만 답이 아닌 다른 글을 하나 쓰세요. "
        "주제와 문체와 길이는 비슷하되 질문이 묻는 내용은 없어야 합니다. 글만 쓰세요.",
        "질문과 그 질문에 답하는 본문이 있습니다. 답처럼 보이지만 답이 아닌 서로 다른 글을 {count}개 쓰세요. "
        "주제와 문체와 길이는 비슷하되 질문이 묻는 내용은 없어야 합니다. 한 줄에 글 하나만 쓰세요.",
        "질문",
        "답하는 본문",
        "답하지 않는 글",
        (
            Example(
                "대왕고래의 심장은 1분에 몇 번 뛰나요?",
                "대왕고래의 심장은 약 180kg이며 1분에 2번에서 37번 뛴다.",
                "대왕고래의 심장은 네 개의 방으로 되어 있고 대동맥은 접시만큼 넓다.",
            ),
        ),
    ),
    "ru": Words(
        "Даны вопрос и текст, который на него отвечает. Напиши другой текст, который похож на ответ, но им не "
        "является: на ту же тему, в том же стиле и примерно той же длины, но без того, о чём спрашивают. Напиши только "
        "текст.",
        "Даны вопрос и текст, который на него отвечает. Напиши {count} разных других текста, которые похожи на ответы, "
        "но ими не являются: на ту же тему, в том же стиле и примерно той же длины, но без того, о чём спрашивают. "
        "Пиши каждый на отдельной строке и больше ничего.",
        "Вопрос",
        "Текст, который отвечает",
        "Текст, который не отвечает",
        (
            Example(
                "сколько раз в минуту бьётся сердце синего кита",
                "Сердце синего кита весит около 180 кг и бьётся от 2 до 37 раз в минуту.",
                "Сердце синего кита состоит из четырёх камер, а его аорта шириной с тарелку.",
            ),
        ),
    ),
}


class AskingNear(Manners):
    """How texts are asked for, of a question and a relevant document."""

    __slots__ = ()

    @property
    def told(self) -> str:
        """What is asked, with its places left open, for a key and for whoever reads a model's origin."""
        asked = self.prompt(QUERY, PASSAGE)
        return asked if isinstance(asked, str) else "\n\n".join(f"{each.role}: {each.text}" for each in asked)

    def prompt(self, query: str, passage: str) -> Prompt:
        """What is asked for a pair."""
        passage = passage[: self.characters]
        if self.own is not None:
            parts = self.counted(self.own).split(QUERY)
            return query.join(part.replace(PASSAGE, passage) for part in parts)
        words = LANGUAGES[self.language]
        if self.manner == "continuation":
            pairs = [(_pair(words, each.question, each.answer), each.near) for each in words.examples]
            shown = [f"{pair}\n{words.near}: {near}\n\n" for pair, near in pairs]
            return f"{''.join(shown)}{_pair(words, query, passage)}\n{words.near}:"
        if self.at_once and self.count > 1:
            return f"{words.many.replace(COUNT, str(self.count))}\n\n{_pair(words, query, passage)}"
        examples = ((_pair(words, each.question, each.answer), each.near) for each in words.examples)
        return in_turns(words.one, examples, _pair(words, query, passage))

    @property
    def shown(self) -> Iterator[str]:
        """The texts that the prompt itself holds as examples."""
        if self.own is None:
            yield from (text for each in LANGUAGES[self.language].examples for text in (each.answer, each.near))


def _pair(words: Words, query: str, passage: str) -> str:
    return f"{words.question}: {' '.join(query.split())}\n{words.answer}: {' '.join(passage.split())}"
