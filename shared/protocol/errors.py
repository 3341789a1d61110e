"""Every code a person or a program may meet, with its HTTP status and its title in three languages.

One table for all services: problem documents take status and title from here, `docs/errors.md` is generated from it.
A code without a status never is an answer by itself: it stands in a list of results, or as the reason of a state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Language = Literal["en", "ru", "kk"]


@dataclass(frozen=True, slots=True)
class Error:
    """`status`: HTTP status of a problem document with this code; None where the code is no answer by itself."""

    status: int | None
    en: str
    ru: str
    kk: str

    def title(self, language: Language) -> str:
        return {"en": self.en, "ru": self.ru, "kk": self.kk}[language]


_REQUESTS = {
    "bad_request": Error(
        400, "The request cannot be read", "Запрос не удалось прочитать", "Сұрауды оқу мүмкін болмады"
    ),
    "invalid_request": Error(422, "The request is not valid", "Запрос составлен неверно", "Сұрау дұрыс емес"),
    "not_authenticated": Error(401, "Please sign in", "Требуется вход", "Жүйеге кіру қажет"),
    "wrong_credentials": Error(
        401, "Wrong login or password", "Неверный логин или пароль", "Логин немесе құпиясөз қате"
    ),
    "not_permitted": Error(403, "You have no right to do this", "Недостаточно прав", "Бұған құқығыңыз жоқ"),
    "wrong_token_kind": Error(
        403, "This token does not open this door", "Этот токен здесь не подходит", "Бұл токен мұнда жарамайды"
    ),
    "not_found": Error(404, "There is no such thing", "Не найдено", "Табылмады"),
    "method_not_allowed": Error(405, "Method not allowed", "Метод не поддерживается", "Әдіске рұқсат жоқ"),
    "unsupported_media_type": Error(
        415, "Unsupported media type", "Неподдерживаемый тип данных", "Деректер түріне қолдау жоқ"
    ),
    "range_not_satisfiable": Error(
        416, "The file has no such range", "В файле нет такого диапазона", "Файлда мұндай ауқым жоқ"
    ),
    "body_too_large": Error(413, "The request is too large", "Запрос слишком велик", "Сұрау тым үлкен"),
    "request_in_progress": Error(
        409,
        "The same request is still being worked on",
        "Тот же запрос ещё выполняется",
        "Дәл осы сұрау әлі орындалуда",
    ),
    "too_many_attempts": Error(
        429, "Too many attempts, wait a little", "Слишком много попыток, подождите", "Әрекет тым көп, күте тұрыңыз"
    ),
    "idempotency_mismatch": Error(
        422,
        "The same idempotency key came with another request",
        "Тот же ключ идемпотентности пришёл с другим запросом",
        "Сол идемпотенттік кілт басқа сұраумен келді",
    ),
    "internal_error": Error(
        500, "Something went wrong in the service", "Внутренняя ошибка сервиса", "Сервистің ішкі қатесі"
    ),
    "service_unavailable": Error(
        503, "The service is not available now", "Сервис временно недоступен", "Сервис уақытша қолжетімсіз"
    ),
    "maintenance": Error(
        503, "The service is under maintenance", "Идёт обслуживание сервиса", "Сервиске қызмет көрсетілуде"
    ),
    "application_unavailable": Error(
        503,
        "The application's database is not available now",
        "База данных приложения временно недоступна",
        "Қолданбаның дерекқоры уақытша қолжетімсіз",
    ),
}

_ADMINISTRATION = {
    "login_taken": Error(409, "The login belongs to somebody else", "Логин уже занят", "Логин бос емес"),
    "unknown_organisation": Error(422, "There is no such organisation", "Нет такой организации", "Мұндай ұйым жоқ"),
    "unknown_user": Error(
        422, "Not a user of this application", "Это не пользователь приложения", "Бұл қолданба пайдаланушысы емес"
    ),
    "manifest_invalid": Error(422, "The manifest has mistakes", "В манифесте есть ошибки", "Манифестте қателер бар"),
    "unknown_connection": Error(
        422,
        "No connection of this name is configured",
        "Соединение с таким именем не настроено",
        "Мұндай қосылым бапталмаған",
    ),
    "wrong_state": Error(
        409,
        "The workplace's state does not allow this",
        "Состояние рабочего места этого не допускает",
        "Жұмыс орнының күйі бұған жол бермейді",
    ),
    "lines_unknown": Error(
        409,
        "The lines of the record are not known here",
        "Строки этой записи здесь неизвестны",
        "Бұл жазбаның жолдары мұнда белгісіз",
    ),
    "already_resolved": Error(
        409, "The problem is resolved already", "Предупреждение уже обработано", "Ескерту өңделіп қойған"
    ),
    "not_resolved": Error(
        409, "The problem is not resolved yet", "Предупреждение ещё не обработано", "Ескерту әлі өңделмеген"
    ),
}

_WORKPLACES = {
    "seat_limit_reached": Error(
        409, "No seat is free under the plan", "Все места по тарифу заняты", "Тариф бойынша бос орын қалмады"
    ),
    "local_licence_required": Error(
        409,
        "A licence for the local version is required",
        "Нужна лицензия на локальную версию",
        "Жергілікті нұсқаға лицензия қажет",
    ),
    "subscription_lapsed": Error(403, "The subscription has lapsed", "Подписка истекла", "Жазылым мерзімі өтті"),
    "seats_reduced": Error(
        None,
        "The subscription has fewer seats than workplaces",
        "По подписке мест меньше, чем рабочих мест",
        "Жазылым бойынша орын саны жұмыс орындарынан аз",
    ),
    "suspended_by_administrator": Error(
        None,
        "An administrator suspended the workplace",
        "Рабочее место приостановлено администратором",
        "Жұмыс орнын әкімші тоқтатты",
    ),
    "preparation_timed_out": Error(
        None,
        "The preparation gave no sign for too long",
        "Подготовка слишком долго не подавала признаков",
        "Дайындық тым ұзақ жауап бермеді",
    ),
    "build_failed": Error(
        None,
        "The package could not be built",
        "Не удалось подготовить рабочее место",
        "Жұмыс орнын дайындау мүмкін болмады",
    ),
    "catalogue_changed": Error(
        None,
        "The application's tables were changed and must be attached again",
        "Таблицы приложения изменены, его нужно подключить заново",
        "Қолданба кестелері өзгертілген, оны қайта қосу керек",
    ),
    "package_not_ready": Error(409, "The package is not there yet", "Пакет ещё не готов", "Пакет әлі дайын емес"),
    "package_expired": Error(
        410, "The package has expired", "Срок хранения пакета истёк", "Пакеттің сақталу мерзімі өтті"
    ),
    "workplace_deleted": Error(410, "The workplace was deleted", "Рабочее место удалено", "Жұмыс орны жойылған"),
    "suspended": Error(403, "The workplace is suspended", "Рабочее место приостановлено", "Жұмыс орны тоқтатылған"),
}

_EXCHANGES = {
    "activated_elsewhere": Error(
        409,
        "The workplace is activated on another computer",
        "Рабочее место активировано на другом компьютере",
        "Жұмыс орны басқа компьютерде іске қосылған",
    ),
    "exchange_over": Error(410, "The exchange is over", "Сеанс обмена завершён", "Алмасу сеансы аяқталған"),
    "configuration_changed": Error(
        409,
        "The application was changed and must be attached again",
        "Приложение изменено, его нужно подключить заново",
        "Қолданба өзгертілген, оны қайта қосу керек",
    ),
    "program_too_old": Error(
        426,
        "The workplace program is too old",
        "Программа рабочего места устарела",
        "Жұмыс орнының бағдарламасы ескірген",
    ),
    "digest_missing": Error(400, "The Content-Digest is missing", "Нет контрольной суммы", "Бақылау қосындысы жоқ"),
    "digest_mismatch": Error(
        400, "The body does not match its digest", "Контрольная сумма не совпала", "Бақылау қосындысы сәйкес келмеді"
    ),
    "invalid_body": Error(
        400, "The message cannot be read", "Сообщение не удалось прочитать", "Хабарды оқу мүмкін болмады"
    ),
    "duplicate_key": Error(
        400,
        "A key stands twice in the message",
        "Ключ встречается в сообщении дважды",
        "Кілт хабарда екі рет кездеседі",
    ),
    "message_too_large": Error(413, "The message is too large", "Сообщение слишком велико", "Хабар тым үлкен"),
    "aggregate_too_large": Error(413, "The object is too large", "Объект слишком велик", "Нысан тым үлкен"),
    "message_differs": Error(
        409,
        "Another message is stored under this number",
        "Под этим номером сохранено другое сообщение",
        "Бұл нөмірмен басқа хабар сақталған",
    ),
    "message_old": Error(409, "The message number is in the past", "Номер сообщения устарел", "Хабар нөмірі ескірген"),
    "message_gap": Error(409, "A message is missing in between", "Пропущено сообщение", "Арада хабар қалып қойған"),
}

_CHANGES = {
    "closed_period": Error(None, "The period is closed", "Период закрыт", "Кезең жабық"),
    "unique_violation": Error(None, "Such a record exists already", "Такая запись уже есть", "Мұндай жазба бар"),
    "foreign_key_violation": Error(
        None, "A record it refers to is missing", "Нет записи, на которую она ссылается", "Сілтеме жасалған жазба жоқ"
    ),
    "check_violation": Error(
        None, "A rule of the application forbids the value", "Значение не проходит проверку", "Мән тексеруден өтпеді"
    ),
    "not_null_violation": Error(
        None, "A value is missing", "Не заполнено обязательное поле", "Міндетті өріс толтырылмаған"
    ),
    "outside_scope": Error(
        None,
        "The record is outside the workplace's scope",
        "Запись вне состава рабочего места",
        "Жазба жұмыс орнының құрамынан тыс",
    ),
    "read_only": Error(None, "The table is read-only here", "Таблица только для чтения", "Кесте тек оқуға арналған"),
    "unknown_table": Error(None, "There is no such table", "Нет такой таблицы", "Мұндай кесте жоқ"),
    "invalid_value": Error(
        None, "A value or column is not valid", "Неверное значение или поле", "Мән немесе өріс дұрыс емес"
    ),
    "after_rejection": Error(
        None,
        "It builds on a change that was rejected",
        "Основано на отклонённом изменении",
        "Қабылданбаған өзгеріске негізделген",
    ),
    "application_error": Error(
        None, "The application refused it", "Приложение отклонило запись", "Қолданба жазбаны қабылдамады"
    ),
}

ERRORS: Mapping[str, Error] = MappingProxyType(_REQUESTS | _ADMINISTRATION | _WORKPLACES | _EXCHANGES | _CHANGES)
