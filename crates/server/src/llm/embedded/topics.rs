//! What an entry is about.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::language::Language;
use super::lexicon::Lexicon;
use crate::llm::TOPICS;
use crate::llm::text::beginning;

/// Terms of the trade, as a topic names them. They are found by their stems.
const TERMS: [(Language, &[&str]); 2] = [
    (
        Language::English,
        &[
            "antenna",
            "authorization",
            "bay",
            "billing",
            "breaker",
            "cabinet",
            "cable",
            "camera",
            "certificate",
            "charger",
            "commissioning",
            "connector",
            "contactor",
            "cooling",
            "current limit",
            "customer",
            "display",
            "electrician",
            "emergency stop",
            "energy meter",
            "fan",
            "filter",
            "firmware",
            "fleet",
            "fuse",
            "ground fault",
            "grid operator",
            "handover",
            "id tag",
            "inspection",
            "insulation",
            "inventory",
            "label",
            "landlord",
            "lighting",
            "load balancing",
            "load manager",
            "lock",
            "main board",
            "meter",
            "modem",
            "night shift",
            "payment terminal",
            "permit",
            "plug",
            "power module",
            "reboot",
            "restart",
            "roster",
            "safety",
            "screen",
            "session",
            "signal",
            "sim card",
            "smart charging",
            "spare part",
            "station",
            "surge protection",
            "tariff",
            "temperature",
            "theft",
            "training",
            "transformer",
            "update",
            "vandalism",
            "vendor",
            "warranty",
            "water",
            "wiring",
        ],
    ),
    (
        Language::Spanish,
        &[
            "actualización",
            "aislamiento",
            "alarma",
            "antena",
            "aparcamiento",
            "armario",
            "avería",
            "borna",
            "cable",
            "calibración",
            "cámara",
            "cargador",
            "carga inteligente",
            "cierre",
            "cliente",
            "cobertura",
            "conector",
            "conexión",
            "contactor",
            "contador",
            "corriente",
            "derivación a tierra",
            "diferencial",
            "distribuidora",
            "electricista",
            "entrega",
            "estación",
            "etiqueta",
            "fabricante",
            "factura",
            "filtro",
            "firmware",
            "flota",
            "formación",
            "fusible",
            "gestor de carga",
            "iluminación",
            "inspección",
            "instalación",
            "inundación",
            "inventario",
            "lector",
            "llave",
            "manguera",
            "módem",
            "pantalla",
            "permiso",
            "placa",
            "plaza",
            "potencia",
            "propietario",
            "proveedor",
            "reinicio",
            "repuesto",
            "robo",
            "seguridad",
            "sesión",
            "seta de emergencia",
            "tarifa",
            "tarjeta",
            "temperatura",
            "terminal de pago",
            "transformador",
            "turno de noche",
            "vandalismo",
            "ventilador",
        ],
    ),
];

/// Words that are no topic: of grammar, and of doing.
const NO_TOPICS: &str = "\
    about after again all also always and any are because been before being both but can could did \
    does doing done down during each every few finally first for from get got had has have her here \
    him his how into its just last left like long made make many more most much must need never \
    next none not nothing now off old once one only other our out over own put same second see \
    send set she should since some soon still such take than that the their them then there these \
    they third this three time today tomorrow too took tried two under until upon very was way week \
    weeks well went were what when where which while who whole why will with without would year \
    yearly yes yet you your \
    added asked came changed checked cleaned compared configured connected counted drove entered \
    finished fixed handed installed looked measured met moved painted reported replaced reviewed \
    scheduled sorted swapped tested tightened took trained translated updated verified watched \
    worked wrote repaired rebooted \
    monday tuesday wednesday thursday friday saturday sunday hour hours month months usual weekly \
    lunes martes miércoles jueves viernes sábado domingo hora horas semana semanas \
    add ask bring call check close compare continue decide find install keep look measure move open \
    order plan prepare publish put read repeat report review roll send show start take tell test \
    upload wait warn watch write \
    ahora algo antes aquí así aún bien cada casi como con contra cosa cual cuando cuatro dentro desde \
    después donde dos durante ella ellas ellos entre era esa ese eso esta están estas este esto \
    estos fue fuera había hace hacer hacia han hasta hay igual junto las les los luego mañana más \
    menos mes mientras mismo mucho muy nada nadie ninguna ninguno nos nuestra nuestro nueva nuevas \
    nuevo nuevos nunca otra otras otro otros para pero poco por porque primera primero pues que \
    quien seguir según ser siempre sin sobre solo son sus también tan tanto tiene todas todavía \
    todo todos tras tres una unas uno unos veces vez volver \
    actualizado anotar cambiado cambio comprobado comprobadas hecho instalado limpiado medido \
    abrir avisar buscar cerrar comprobar decidir enviar esperar hacer instalar llamar mandar medir \
    mirar preparar probar repetir seguir subir vigilar \
    pedido pedir puesto puesta revisado revisar sustituido terminada terminado visto \
    answered back came counted finished gone helped made moved opened pick picked ran roll rolled \
    rolling stay stayed taken took turned waited waiting went \
    atender atendido entender entendido entendidos llevar llevado pasar pasado quedar quedado \
    venir venido";

/// Fewest letters of a word that is taken for a topic though it is no term.
const LEAST_LETTERS: usize = 4;
/// Longest topic, in characters.
const LONGEST: usize = 40;
/// What there is to say of an entry without a single word to go by.
const LAST_RESORT: [(Language, [&str; 2]); 2] = [
    (Language::English, ["field work", "charging network"]),
    (Language::Spanish, ["trabajo de campo", "red de carga"]),
];

/// Terms by the stems of their words.
static BY_STEMS: LazyLock<HashMap<(bool, String), &'static str>> = LazyLock::new(|| {
    let all = TERMS.iter().flat_map(|(language, terms)| {
        let stems = |term: &str| {
            let words = term
                .split(' ')
                .map(|word| Lexicon::of(*language).stem(word));
            words.collect::<Vec<_>>().join(" ")
        };
        terms
            .iter()
            .map(move |term| ((*language == Language::English, stems(term)), *term))
    });
    all.collect()
});

static NONE: LazyLock<std::collections::HashSet<&'static str>> =
    LazyLock::new(|| NO_TOPICS.split_whitespace().collect());

/// Two to four topics: terms of the trade in the order they stand in, then other words that
/// carry something.
pub(super) fn of(parts: [&str; 3], language: Language) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for part in parts {
        for clause in part.split(['.', ',', ';', ':', '!', '?', '(', ')', '"', '\n']) {
            look_through(clause, language, &mut terms, &mut others);
        }
    }
    let mut topics: Vec<String> = Vec::new();
    for term in terms {
        add(&mut topics, term);
    }
    // A stray word is worth less than a short list.
    let last = LAST_RESORT.iter().filter(|(of, _)| *of == language);
    let last = last.flat_map(|(_, words)| words.map(str::to_owned));
    for topic in others.into_iter().chain(last) {
        if topics.len() >= *TOPICS.start() {
            break;
        }
        add(&mut topics, topic);
    }
    topics.truncate(*TOPICS.end());
    topics
}

/// Adds a topic that is not there yet.
fn add(topics: &mut Vec<String>, topic: String) {
    let known = |other: &String| other.to_lowercase() == topic.to_lowercase();
    if !topics.iter().any(known) {
        topics.push(topic);
    }
}

/// Finds the terms of a clause, and the words beside them.
fn look_through(
    clause: &str,
    language: Language,
    terms: &mut Vec<String>,
    others: &mut Vec<String>,
) {
    let words: Vec<&str> = clause
        .split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '\''))
        .filter(|word| !word.is_empty())
        .collect();
    let lexicon = Lexicon::of(language);
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let stems: Vec<String> = lower.iter().map(|word| lexicon.stem(word)).collect();
    let mut at = 0;
    while at < words.len() {
        let longest = (1..=3.min(words.len() - at)).rev().find_map(|length| {
            let key = (
                language == Language::English,
                stems[at..at + length].join(" "),
            );
            BY_STEMS.get(&key).map(|term| (length, *term))
        });
        if let Some((length, term)) = longest {
            terms.push(term.to_owned());
            at += length;
            continue;
        }
        let word = &lower[at];
        let letters = word.chars().filter(|c| c.is_alphabetic()).count();
        let telling = letters >= LEAST_LETTERS
            && !NONE.contains(word.as_str())
            && !is_done(word)
            && lexicon.effect(std::slice::from_ref(word)).is_none();
        if telling {
            others.push(beginning(word, LONGEST));
        }
        at += 1;
    }
}

/// Whether a word looks like a verb of Spanish: what somebody did, or was doing.
fn is_done(word: &str) -> bool {
    let endings = ["ó", "í", "aron", "ieron", "ando", "iendo"];
    endings.iter().any(|ending| word.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terms_of_the_trade_come_first() {
        let topics = of(
            [
                "Replaced the contactors",
                "The payment terminal was stuck",
                "Order spare parts",
            ],
            Language::English,
        );
        assert_eq!(topics, ["contactor", "payment terminal", "spare part"]);
        let topics = of(
            [
                "Cambiadas las mangueras",
                "Derivación a tierra",
                "Avisar al fabricante",
            ],
            Language::Spanish,
        );
        assert_eq!(
            topics[..3],
            ["manguera", "derivación a tierra", "fabricante"]
        );
    }

    #[test]
    fn what_somebody_did_is_no_topic() {
        let topics = of(
            ["Rolled back to 2.3", "Went fine", "Keep it"],
            Language::English,
        );
        assert_eq!(topics, ["field work", "charging network"]);
        let topics = of(
            ["Atendí a los conductores", "Han entendido todo", "-"],
            Language::Spanish,
        );
        assert!(
            !topics
                .iter()
                .any(|topic| topic.starts_with("at") || topic.starts_with("ent")),
            "{topics:?}"
        );
    }

    #[test]
    fn there_is_always_something_to_say() {
        let topics = of(["x", "y", "z"], Language::English);
        assert_eq!(topics, ["field work", "charging network"]);
    }

    proptest! {
        #[test]
        fn there_are_two_to_four_and_they_differ(parts in prop::array::uniform3(".{1,64}")) {
            for language in [Language::English, Language::Spanish] {
                let topics = of([&parts[0], &parts[1], &parts[2]], language);
                prop_assert!(TOPICS.contains(&topics.len()), "{topics:?}");
                let distinct: std::collections::HashSet<_> =
                    topics.iter().map(|topic| topic.to_lowercase()).collect();
                prop_assert_eq!(distinct.len(), topics.len());
            }
        }
    }
}
