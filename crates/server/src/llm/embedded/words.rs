//! A station's story in words, English or Spanish.

use domain::session::StopReason;
use domain::{EvseNo, IdTagStatus};

use super::incidents::{Cause, Incident};
use super::language::Language;
use crate::llm::story::{Claim, Facts, MAX_CLAIMS, Story};
use crate::llm::text::{beginning, on_one_line};

/// Longest part of an entry that is quoted, in characters.
const MAX_QUOTE: usize = 120;
/// Entries of the journal that are quoted: the newest.
const QUOTED: usize = 2;

/// The story that these incidents make.
pub(super) fn story(incidents: &[Incident], facts: &Facts, language: Language) -> Story {
    let mut story = Story::default();
    for incident in incidents {
        let [what, cause, step] = tell(&incident.cause, language);
        let claim = |text: String| Claim {
            text,
            events: incident.events.clone(),
            sessions: incident.sessions.clone(),
            entries: Vec::new(),
        };
        story.what_happened.push(claim(what));
        story.likely_cause.push(claim(cause));
        story.next_step.push(claim(step));
    }
    if let (true, Some(last)) = (incidents.is_empty(), facts.events.last()) {
        let count = facts.events.len();
        let text = match language {
            Language::English => format!("Nothing out of the ordinary in {count} events."),
            Language::Spanish => format!("Nada fuera de lo normal en {count} eventos."),
        };
        story.what_happened.push(Claim {
            text,
            events: vec![last.seq],
            ..Claim::default()
        });
    }
    let room = MAX_CLAIMS.saturating_sub(story.what_happened.len());
    for entry in facts.entries.iter().rev().take(QUOTED.min(room)) {
        let quote = |text: &str| beginning(&on_one_line(text), MAX_QUOTE);
        let (work, struggle) = (quote(entry.work.as_str()), quote(entry.struggle.as_str()));
        let text = match language {
            Language::English => {
                format!("The journal says: “{work}”; what was hard: “{struggle}”.")
            }
            Language::Spanish => format!("Dice el diario: «{work}»; lo difícil: «{struggle}»."),
        };
        story.what_happened.push(Claim {
            text,
            entries: vec![entry.id],
            ..Claim::default()
        });
    }
    story
}

/// What happened, why, and what to do.
fn tell(cause: &Cause, language: Language) -> [String; 3] {
    match language {
        Language::English => english(cause),
        Language::Spanish => spanish(cause),
    }
}

#[expect(clippy::too_many_lines, reason = "a list: one cause after the other")]
fn english(cause: &Cause) -> [String; 3] {
    let at = |evse: &Option<EvseNo>| match evse {
        Some(evse) => format!(" on EVSE {evse}"),
        None => String::new(),
    };
    match cause {
        Cause::Firmware { status } => [
            format!("A firmware update failed: the charger reported {status}."),
            "The firmware update did not complete; the charger runs its old version or none."
                .into(),
            "Check the firmware file and its address, and start the update again.".into(),
        ],
        Cause::RepeatedFault { code, evse, times } => {
            let (why, step) = english_code(code);
            [
                format!("The charger reported {code} {times} times{}.", at(evse)),
                format!("A recurring fault{}: {code}, {why}.", at(evse)),
                step.into(),
            ]
        }
        Cause::Reboots { times } => [
            format!("The charger booted {times} times within two hours."),
            "The charger restarts by itself: a reboot loop, from its supply or its software."
                .into(),
            "Check its power supply and its log, then update or restore its firmware.".into(),
        ],
        Cause::PowerLoss { times } => [
            format!("{times} charging sessions ended with a loss of power."),
            "The station's power supply fails: power loss upstream or a tripping breaker.".into(),
            "Have the supply, the breaker and the terminals checked.".into(),
        ],
        Cause::DailyOffline { hour, days } => [
            format!("The station went offline on {days} days at about {hour:02}:00 UTC."),
            format!(
                "Something cuts its line every day at about {hour:02}:00 UTC: a timer, a router \
                 that restarts, or the operator of the mobile network."
            ),
            "Find out what is switched or restarted on the site at that hour.".into(),
        ],
        Cause::Flapping { times } => [
            format!("The connection was lost and came back {times} times within an hour."),
            "The network link is unstable: weak mobile signal, a loose antenna or a failing modem."
                .into(),
            "Measure the signal on site, and check antenna, SIM card and router.".into(),
        ],
        Cause::Outage { hours, back } => {
            let now = if *back {
                "; it came back"
            } else {
                " and still is"
            };
            [
                format!("The station was offline for {hours} hours{now}."),
                "A long outage: the site lost its power or its network line.".into(),
                "Ask on site whether there is power, and check the line.".into(),
            ]
        }
        Cause::Meter { sessions } => [
            format!("In {sessions} charging sessions the energy metered cannot be right."),
            "The energy meter, or its wiring, delivers implausible values.".into(),
            "Have the meter checked, and look at these sessions before they are billed.".into(),
        ],
        Cause::EarlyEnds {
            reason,
            evse,
            times,
        } => {
            let why = match reason {
                Some(StopReason::EvDisconnected) => {
                    "the vehicle is disconnected early: look at the cable, the plug and its lock"
                }
                Some(StopReason::EmergencyStop) => {
                    "the emergency stop is pressed, or its button sticks"
                }
                Some(StopReason::DeAuthorized) => {
                    "the tags lose their authorization in mid-session"
                }
                Some(StopReason::HardReset | StopReason::SoftReset | StopReason::Reboot) => {
                    "the charger restarts in mid-session"
                }
                _ => "the charger breaks off charging by itself",
            };
            [
                format!(
                    "{times} charging sessions{} ended within five minutes.",
                    at(evse)
                ),
                format!("Sessions end early{} because {why}.", at(evse)),
                "Try a session on site with two vehicles, and look at connector and cable.".into(),
            ]
        }
        Cause::Commands { times } => [
            format!("{times} commands to the charger ended without success."),
            "The charger does not carry out commands: its software hangs or refuses them.".into(),
            "Restart it on site, and compare its configuration with a charger that obeys.".into(),
        ],
        Cause::Refused { status, times } => {
            let why = match status {
                IdTagStatus::Blocked => "they are blocked",
                IdTagStatus::Expired => "they have expired",
                IdTagStatus::Invalid | IdTagStatus::Accepted => "they are not known here",
            };
            [
                format!("Charging was refused {times} times."),
                format!("The drivers' id tags are not accepted: {why}."),
                "Look up the tags that were presented, and enter or renew those that may charge."
                    .into(),
            ]
        }
        Cause::Faulted { code, evse } => {
            let named = code.as_deref().unwrap_or("no code");
            let (why, step) = english_code(code.as_deref().unwrap_or_default());
            [
                format!("A fault is reported{} ({named}).", at(evse)),
                format!("A fault{}: {named}, {why}.", at(evse)),
                step.into(),
            ]
        }
        Cause::TakenOut => [
            "The station, or a part of it, was taken out of use.".into(),
            "An operator set it to inoperative; the hardware has not said that it is broken."
                .into(),
            "Set it to operative when the reason is gone.".into(),
        ],
        Cause::StopsMissing { sessions } => [
            format!("The stop of {sessions} charging sessions never came."),
            "The charger loses the end of sessions: it restarts, or drops its messages.".into(),
            "Check its queue of offline messages, and its firmware's version.".into(),
        ],
    }
}

/// What an error code of OCPP 1.6 (§7.6) means, and what to do.
fn english_code(code: &str) -> (&'static str, &'static str) {
    match code {
        "ConnectorLockFailure" => (
            "the connector's lock does not close or open",
            "Clean and test the lock, and replace it if it sticks.",
        ),
        "EVCommunicationError" => (
            "charger and vehicle do not understand each other",
            "Check the control pilot and the cable with a tester.",
        ),
        "GroundFailure" => (
            "current leaks to earth: insulation, moisture or the residual-current device",
            "Take it out of use, and have the insulation measured.",
        ),
        "HighTemperature" => (
            "it overheats: fan, filter or a loose terminal",
            "Clean filter and fan, and look for hot terminals.",
        ),
        "OverCurrentFailure" => (
            "too much current flows",
            "Check the limits that are set, and the vehicle that was connected.",
        ),
        "OverVoltage" | "UnderVoltage" => (
            "the supply voltage is out of bounds",
            "Have the supply voltage measured over a day.",
        ),
        "PowerMeterFailure" => (
            "the energy meter cannot be read",
            "Check the meter's wiring, and replace the meter.",
        ),
        "PowerSwitchFailure" => ("the contactor does not switch", "Replace the contactor."),
        "ReaderFailure" => (
            "the tag reader does not work",
            "Replace the reader; until then start sessions remotely.",
        ),
        "WeakSignal" => ("the mobile signal is weak", "Move or replace the antenna."),
        _ => (
            "as its maker defines it",
            "Look the code up in the maker's handbook, and send somebody who has it.",
        ),
    }
}

#[expect(clippy::too_many_lines, reason = "a list: one cause after the other")]
fn spanish(cause: &Cause) -> [String; 3] {
    let at = |evse: &Option<EvseNo>| match evse {
        Some(evse) => format!(" en el EVSE {evse}"),
        None => String::new(),
    };
    match cause {
        Cause::Firmware { status } => [
            format!("Falló una actualización de firmware: el cargador informó {status}."),
            "La actualización de firmware no terminó; el cargador sigue con la versión antigua o sin \
             ninguna."
                .into(),
            "Comprobar el fichero y su dirección, y repetir la actualización.".into(),
        ],
        Cause::RepeatedFault { code, evse, times } => {
            let (why, step) = spanish_code(code);
            [
                format!("El cargador informó {code} {times} veces{}.", at(evse)),
                format!("Un fallo que se repite{}: {code}, {why}.", at(evse)),
                step.into(),
            ]
        }
        Cause::Reboots { times } => [
            format!("El cargador arrancó {times} veces en dos horas."),
            "El cargador se reinicia solo: un bucle de reinicios, por la alimentación o el software."
                .into(),
            "Comprobar la alimentación y su registro, y actualizar o restaurar el firmware.".into(),
        ],
        Cause::PowerLoss { times } => [
            format!("{times} sesiones de carga terminaron por pérdida de corriente."),
            "Falla la alimentación de la estación: corte aguas arriba o un diferencial que salta."
                .into(),
            "Revisar la acometida, el diferencial y las bornas.".into(),
        ],
        Cause::DailyOffline { hour, days } => [
            format!("La estación se desconectó {days} días hacia las {hour:02}:00 UTC."),
            format!(
                "Algo corta su línea cada día hacia las {hour:02}:00 UTC: un temporizador, un router \
                 que se reinicia o la red móvil."
            ),
            "Averiguar qué se apaga o reinicia a esa hora en el emplazamiento.".into(),
        ],
        Cause::Flapping { times } => [
            format!("La conexión se perdió y volvió {times} veces en una hora."),
            "El enlace de red es inestable: poca cobertura, antena suelta o módem defectuoso.".into(),
            "Medir la señal en el sitio y revisar antena, SIM y router.".into(),
        ],
        Cause::Outage { hours, back } => {
            let now = if *back { "; después volvió" } else { " y aún lo está" };
            [
                format!("La estación estuvo {hours} horas fuera de línea{now}."),
                "Un corte largo: el sitio se quedó sin corriente o sin red.".into(),
                "Preguntar en el sitio si hay corriente y comprobar la línea.".into(),
            ]
        }
        Cause::Meter { sessions } => [
            format!("En {sessions} sesiones la energía medida no puede ser cierta."),
            "El contador de energía, o su cableado, da valores imposibles.".into(),
            "Revisar el contador, y mirar esas sesiones antes de facturarlas.".into(),
        ],
        Cause::EarlyEnds { reason, evse, times } => {
            let why = match reason {
                Some(StopReason::EvDisconnected) => {
                    "el vehículo se desconecta pronto: cable, conector o su cierre"
                }
                Some(StopReason::EmergencyStop) => "se pulsa la seta de emergencia o está atascada",
                Some(StopReason::DeAuthorized) => "las tarjetas pierden la autorización",
                Some(StopReason::HardReset | StopReason::SoftReset | StopReason::Reboot) => {
                    "el cargador se reinicia a mitad de la sesión"
                }
                _ => "el cargador interrumpe la carga por sí mismo",
            };
            [
                format!("{times} sesiones{} terminaron antes de cinco minutos.", at(evse)),
                format!("Las sesiones acaban pronto{} porque {why}.", at(evse)),
                "Probar en el sitio con dos vehículos y revisar conector y cable.".into(),
            ]
        }
        Cause::Commands { times } => [
            format!("{times} órdenes al cargador acabaron sin éxito."),
            "El cargador no cumple las órdenes: su software está colgado o las rechaza.".into(),
            "Reiniciarlo en el sitio y comparar su configuración con la de otro que obedezca.".into(),
        ],
        Cause::Refused { status, times } => {
            let why = match status {
                IdTagStatus::Blocked => "están bloqueadas",
                IdTagStatus::Expired => "han caducado",
                IdTagStatus::Invalid | IdTagStatus::Accepted => "aquí no se conocen",
            };
            [
                format!("Se rechazó la carga {times} veces."),
                format!("No se aceptan las tarjetas de los conductores: {why}."),
                "Buscar las tarjetas presentadas, y dar de alta o renovar las que puedan cargar."
                    .into(),
            ]
        }
        Cause::Faulted { code, evse } => {
            let named = code.as_deref().unwrap_or("sin código");
            let (why, step) = spanish_code(code.as_deref().unwrap_or_default());
            [
                format!("Hay un fallo{} ({named}).", at(evse)),
                format!("Un fallo{}: {named}, {why}.", at(evse)),
                step.into(),
            ]
        }
        Cause::TakenOut => [
            "La estación, o una parte, se puso fuera de servicio.".into(),
            "Un operador la dejó inoperativa; el equipo no ha dicho que esté roto.".into(),
            "Ponerla operativa cuando ya no haya motivo.".into(),
        ],
        Cause::StopsMissing { sessions } => [
            format!("El final de {sessions} sesiones no llegó nunca."),
            "El cargador pierde el final de las sesiones: se reinicia o descarta mensajes.".into(),
            "Revisar su cola de mensajes sin conexión y la versión de su firmware.".into(),
        ],
    }
}

/// Lo que significa un código de error de OCPP 1.6 (§7.6), y qué hacer.
fn spanish_code(code: &str) -> (&'static str, &'static str) {
    match code {
        "ConnectorLockFailure" => (
            "el cierre del conector no abre o no cierra",
            "Limpiar y probar el cierre, y cambiarlo si se atasca.",
        ),
        "EVCommunicationError" => (
            "cargador y vehículo no se entienden",
            "Comprobar el hilo piloto y el cable con un comprobador.",
        ),
        "GroundFailure" => (
            "hay una derivación a tierra: aislamiento, humedad o el diferencial",
            "Dejarlo fuera de servicio y medir el aislamiento.",
        ),
        "HighTemperature" => (
            "se recalienta: ventilador, filtro o una borna floja",
            "Limpiar filtro y ventilador, y buscar bornas calientes.",
        ),
        "OverCurrentFailure" => (
            "pasa demasiada corriente",
            "Comprobar los límites fijados y el vehículo que estaba conectado.",
        ),
        "OverVoltage" | "UnderVoltage" => (
            "la tensión de red está fuera de márgenes",
            "Medir la tensión durante un día.",
        ),
        "PowerMeterFailure" => (
            "no se puede leer el contador",
            "Revisar el cableado del contador y cambiarlo.",
        ),
        "PowerSwitchFailure" => ("el contactor no conmuta", "Cambiar el contactor."),
        "ReaderFailure" => (
            "el lector de tarjetas no funciona",
            "Cambiar el lector; mientras tanto, iniciar las sesiones a distancia.",
        ),
        "WeakSignal" => ("la señal móvil es débil", "Mover o cambiar la antena."),
        _ => (
            "según lo define su fabricante",
            "Buscar el código en el manual del fabricante y enviar a alguien que lo tenga.",
        ),
    }
}
