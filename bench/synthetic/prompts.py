"""What a generator is asked for questions, in the language of the documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adapters.base import Manner, Message, Prompt
from bench.experiment.synthetic import PASSAGE

COUNT = "{count}"


@dataclass(frozen=True, slots=True)
class Words:
    """Words of one language. one, many: what is asked for one question, and for several. text, question: what stands
    before a document and before a question. examples: documents with a question each."""

    one: str
    many: str
    text: str
    question: str
    examples: tuple[tuple[str, str], ...]


LANGUAGES: dict[str, Words] = {
    "en": Words(
        "Write one short question that somebody might type into a search engine and that the text answers. Write it in "
        "the language of the text. It must be understood without the text. Write the question alone.",
        "Write {count} different short questions that somebody might type into a search engine and that the text "
        "answers. Write them in the language of the text. Each must be understood without the text. Write one question "
        "a line, and nothing else.",
        "Text",
        "Question",
        (
            (
                "The heart of a blue whale weighs about 180 kg and beats between 2 and 37 times a minute.",
                "how often does the heart of a blue whale beat",
            ),
            (
                "To return an item, open the order within 30 days, choose Return and print the label. The refund takes "
                "up to five working days.",
                "How do I send something back and when do I get my money?",
            ),
            (
                "json.loads(s) turns a JSON document in a string into a Python object. It raises JSONDecodeError for "
                "text that is no JSON.",
                "python parse json string",
            ),
        ),
    ),
    "de": Words(
        "Schreibe eine kurze Frage, die jemand in eine Suchmaschine tippen könnte und die der Text beantwortet. Sie "
        "muss ohne den Text verständlich sein. Schreibe nur die Frage.",
        "Schreibe {count} verschiedene kurze Fragen, die jemand in eine Suchmaschine tippen könnte und die der Text "
        "beantwortet. Jede muss ohne den Text verständlich sein. Schreibe eine Frage je Zeile und sonst nichts.",
        "Text",
        "Frage",
        (
            (
                "Das Herz eines Blauwals wiegt etwa 180 kg und schlägt 2- bis 37-mal in der Minute.",
                "Wie oft schlägt das Herz eines Blauwals?",
            ),
            (
                "Für eine Rückgabe öffnen Sie die Bestellung innerhalb von 30 Tagen und drucken das Etikett. Das Geld "
                "kommt nach höchstens fünf Werktagen.",
                "Wie schicke ich etwas zurück und wann bekomme ich mein Geld?",
            ),
        ),
    ),
    "fr": Words(
        "Écris une courte question que quelqu'un pourrait taper dans un moteur de recherche et à laquelle le texte "
        "répond. On doit la comprendre sans le texte. Écris seulement la question.",
        "Écris {count} courtes questions différentes que quelqu'un pourrait taper dans un moteur de recherche et "
        "auxquelles le texte répond. On doit comprendre chacune sans le texte. Écris une question par ligne, et rien "
        "d'autre.",
        "Texte",
        "Question",
        (
            (
                "Le cœur d'une baleine bleue pèse environ 180 kg et bat de 2 à 37 fois par minute.",
                "À quelle fréquence bat le cœur d'une baleine bleue ?",
            ),
            (
                "Pour un retour, ouvrez la commande dans les 30 jours et imprimez l'étiquette. Le remboursement prend "
                "au plus cinq jours ouvrés.",
                "comment renvoyer un article et être remboursé",
            ),
        ),
    ),
    "es": Words(
        "Escribe una pregunta corta que alguien podría escribir en un buscador y que el texto responde. Debe "
        "entenderse sin el texto. Escribe solo la pregunta.",
        "Escribe {count} preguntas cortas y distintas que alguien podría escribir en un buscador y que el texto "
        "responde. Cada una debe entenderse sin el texto. Escribe una pregunta por línea, y nada más.",
        "Texto",
        "Pregunta",
        (
            (
                "El corazón de una ballena azul pesa unos 180 kg y late entre 2 y 37 veces por minuto.",
                "¿Cada cuánto late el corazón de una ballena azul?",
            ),
            (
                "Para una devolución, abra el pedido en un plazo de 30 días e imprima la etiqueta. El reembolso tarda "
                "como mucho cinco días laborables.",
                "cómo devolver un producto y recuperar el dinero",
            ),
        ),
    ),
    "it": Words(
        "Scrivi una breve domanda che qualcuno potrebbe digitare in un motore di ricerca e a cui il testo risponde. "
        "Deve capirsi senza il testo. Scrivi solo la domanda.",
        "Scrivi {count} brevi domande diverse che qualcuno potrebbe digitare in un motore di ricerca e a cui il testo "
        "risponde. Ognuna deve capirsi senza il testo. Scrivi una domanda per riga, e nient'altro.",
        "Testo",
        "Domanda",
        (
            (
                "Il cuore di una balenottera azzurra pesa circa 180 kg e batte da 2 a 37 volte al minuto.",
                "Quante volte batte il cuore di una balenottera azzurra?",
            ),
            (
                "Per un reso, apra l'ordine entro 30 giorni e stampi l'etichetta. Il rimborso richiede al massimo "
                "cinque giorni lavorativi.",
                "come restituire un articolo e avere il rimborso",
            ),
        ),
    ),
    "pt": Words(
        "Escreva uma pergunta curta que alguém poderia digitar num buscador e que o texto responde. Ela deve ser "
        "entendida sem o texto. Escreva apenas a pergunta.",
        "Escreva {count} perguntas curtas e diferentes que alguém poderia digitar num buscador e que o texto responde. "
        "Cada uma deve ser entendida sem o texto. Escreva uma pergunta por linha, e nada mais.",
        "Texto",
        "Pergunta",
        (
            (
                "O coração de uma baleia-azul pesa cerca de 180 kg e bate de 2 a 37 vezes por minuto.",
                "Quantas vezes bate o coração de uma baleia-azul?",
            ),
            (
                "Para uma devolução, abra o pedido em até 30 dias e imprima a etiqueta. O reembolso leva no máximo "
                "cinco dias úteis.",
                "como devolver um produto e receber o dinheiro",
            ),
        ),
    ),
    "zh": Words(
        "请写一个简短的问题：有人可能在搜索引擎中输入它，并且下面的文本能够回答它。不看文本也要能理解这个问题。只写问题。",
        "请写{count}个不同的简短问题：有人可能在搜索引擎中输入它们，并且下面的文本能够回答它们。"
        "不看文本也要能理解每个问题。每行写一个问题，不要写其他内容。",
        "文本",
        "问题",
        (
            ("蓝鲸的心脏重约180公斤，每分钟跳动2到37次。", "蓝鲸的心脏每分钟跳多少次？"),
            ("如需退货，请在30天内打开订单并打印标签。退款最多需要五个工作日。", "怎么退货，多久能收到退款"),
        ),
    ),
    "ja": Words(
        "誰かが検索エンジンに入力しそうで、次の本文が答えになる短い質問を一つ書いてください。"
        "本文がなくても理解できる質問にしてください。質問だけを書いてください。",
        "誰かが検索エンジンに入力しそうで、次の本文が答えになる短い質問を{count}個、互いに異なるように書いてください。"
        "どれも本文がなくても理解できるようにしてください。一行に一つの質問だけを書いてください。",
        "本文",
        "質問",
        (
            (
                "シロナガスクジラの心臓は約180キログラムで、毎分2回から37回拍動する。",
                "シロナガスクジラの心臓は毎分何回拍動しますか",
            ),
            (
                "返品するには30日以内に注文を開き、ラベルを印刷します。返金には最大5営業日かかります。",
                "返品の方法と返金までの日数",
            ),
        ),
    ),
    "ko": Words(
        "누군가 검색 엔진에 입력할 만하고 아래 본문이 답이 되는 짧은 질문을 하나 쓰세요. "
        "본문 없이도 이해할 수 있어야 합니다. 질문만 쓰세요.",
        "누군가 검색 엔진에 입력할 만하고 아래 본문이 답이 되는 서로 다른 짧은 질문을 {count}개 쓰세요. "
        "각 질문은 본문 없이도 이해할 수 있어야 합니다. 한 줄에 질문 하나만 쓰세요.",
        "본문",
        "질문",
        (
            ("대왕고래의 심장은 약 180kg이며 1분에 2번에서 37번 뛴다.", "대왕고래의 심장은 1분에 몇 번 뛰나요?"),
            (
                "반품하려면 30일 안에 주문을 열고 라벨을 인쇄하세요. 환불은 최대 5영업일이 걸립니다.",
                "반품 방법과 환불 기간",
            ),
        ),
    ),
    "ru": Words(
        "Напиши один короткий вопрос, который кто-нибудь мог бы ввести в поисковик и на который отвечает текст. Он "
        "должен быть понятен без текста. Напиши только вопрос.",
        "Напиши {count} разных коротких вопроса, которые кто-нибудь мог бы ввести в поисковик и на которые отвечает "
        "текст. Каждый должен быть понятен без текста. Пиши по одному вопросу в строке и больше ничего.",
        "Текст",
        "Вопрос",
        (
            (
                "Сердце синего кита весит около 180 кг и бьётся от 2 до 37 раз в минуту.",
                "сколько раз в минуту бьётся сердце синего кита",
            ),
            (
                "Чтобы вернуть товар, откройте заказ в течение 30 дней и распечатайте ярлык. Деньги придут не позднее "
                "чем через пять рабочих дней.",
                "как вернуть товар и получить деньги",
            ),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Manners:
    """How a generator is asked for several pieces. own: the user's prompt, None for ours. at_once: whether one text
    holds all pieces of a prompt; otherwise each text holds one. characters: of a document that are shown."""

    manner: Manner
    language: str
    own: str | None
    count: int
    at_once: bool
    characters: int = 4_000

    @property
    def texts(self) -> int:
        """Texts that are wanted for each prompt."""
        return 1 if self.at_once else self.count

    def counted(self, prompt: str) -> str:
        """A prompt of the user's with the number of pieces that one text is to hold."""
        return prompt.replace(COUNT, str(self.count if self.at_once else 1))


def in_turns(instruction: str, examples: Iterable[tuple[str, str]], asked: str) -> Sequence[Message]:
    """The instruction and the examples as turns of a conversation, then what is asked: small models follow
    examples."""
    turns = [Message("system", instruction)]
    for question, answer in examples:
        turns += [Message("user", question), Message("assistant", answer)]
    return [*turns, Message("user", asked)]


class Asking(Manners):
    """How questions are asked for."""

    __slots__ = ()

    def prompt(self, passage: str) -> Prompt:
        """What is asked for a document."""
        passage = passage[: self.characters]
        if self.own is not None:
            return self.counted(self.own).replace(PASSAGE, passage)
        if self.manner == "passage":
            return passage
        words = LANGUAGES[self.language]
        if self.manner == "continuation":
            shown = [f"{words.text}: {text}\n{words.question}: {question}\n\n" for text, question in words.examples]
            return f"{''.join(shown)}{words.text}: {' '.join(passage.split())}\n{words.question}:"
        if self.at_once:
            return f"{words.many.replace(COUNT, str(self.count))}\n\n{words.text}: {passage}"
        examples = ((f"{words.text}: {text}", question) for text, question in words.examples)
        return in_turns(words.one, examples, f"{words.text}: {passage}")
