//! The words of closed sets, in both languages. A new member does not compile without its words.

use domain::command::{ResetType, Trigger};
use domain::session::{Problem, StopReason};
use domain::status::{Level, Reason};
use domain::token::IdTagStatus;
use domain::{
    Availability, Cause, Command, ConnectorStatus, DrillEnd, Outcome, Role, Sentiment,
    SessionState, StationStatus, Status,
};

use super::phrases::Lang;
use crate::app::NODE_LOST;
use crate::metrics::DisconnectReason;

/// Declares a function from a closed set to its words.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($set:ty) { $($member:pat => $en:literal, $es:literal;)+ })+) => {$(
        $(#[$doc])*
        pub fn $name(lang: Lang, of: $set) -> &'static str {
            match (lang, of) {
                $((Lang::En, $member) => $en, (Lang::Es, $member) => $es,)+
            }
        }
    )+};
}

words! {
    /// A station's status.
    station_status(StationStatus) {
        StationStatus::Available => "Available", "Disponible";
        StationStatus::Occupied => "Occupied", "Ocupada";
        StationStatus::Reserved => "Reserved", "Reservada";
        StationStatus::Unavailable => "Out of use", "Fuera de servicio";
        StationStatus::Faulted => "Faulted", "Averiada";
        StationStatus::Offline => "Offline", "Sin conexión";
        StationStatus::Unknown => "Unknown", "Desconocida";
    }
    /// The status of an EVSE or a connector.
    status(Status) {
        Status::Available => "Available", "Disponible";
        Status::Occupied => "Occupied", "Ocupado";
        Status::Reserved => "Reserved", "Reservado";
        Status::Unavailable => "Out of use", "Fuera de servicio";
        Status::Faulted => "Faulted", "Averiado";
        Status::Unknown => "Unknown", "Desconocido";
    }
    /// What is reported of a connector.
    reported(ConnectorStatus) {
        ConnectorStatus::Available => "Available", "Disponible";
        ConnectorStatus::Preparing => "Preparing", "En preparación";
        ConnectorStatus::Charging => "Charging", "Cargando";
        ConnectorStatus::SuspendedEv => "Paused by the vehicle", "En pausa por el vehículo";
        ConnectorStatus::SuspendedEvse => "Paused by the station", "En pausa por la estación";
        ConnectorStatus::Finishing => "Finishing", "Terminando";
        ConnectorStatus::Occupied => "Occupied", "Ocupado";
        ConnectorStatus::Reserved => "Reserved", "Reservado";
        ConnectorStatus::Unavailable => "Out of use", "Fuera de servicio";
        ConnectorStatus::Faulted => "Faulted", "Averiado";
        ConnectorStatus::Unknown => "Nothing yet", "Nada todavía";
    }
    /// Why a charger's connection ended.
    disconnection(DisconnectReason) {
        DisconnectReason::Closed => "closed by the charger", "la cerró el cargador";
        DisconnectReason::Replaced => "the charger connected anew", "el cargador se conectó de nuevo";
        DisconnectReason::TimedOut => "the charger fell silent", "el cargador dejó de responder";
        DisconnectReason::ProtocolError => "the charger broke the protocol", "el cargador incumplió el protocolo";
        DisconnectReason::NetworkError => "the network failed", "falló la red";
        DisconnectReason::Revoked => "station removed or password changed", "estación eliminada o contraseña cambiada";
        DisconnectReason::Disowned => "the server was taken for dead", "se dio por muerto al servidor";
        DisconnectReason::Shutdown => "the server stopped", "el servidor se detuvo";
    }
    /// The operator's decision.
    availability(Availability) {
        Availability::Operative => "in use", "en servicio";
        Availability::Inoperative => "taken out of use", "fuera de servicio";
    }
    /// What became of a command.
    outcome(Outcome) {
        Outcome::Accepted => "Accepted", "Aceptada";
        Outcome::Rejected => "Rejected", "Rechazada";
        Outcome::Failed => "Failed", "Fallida";
        Outcome::TimedOut => "No answer in time", "Sin respuesta a tiempo";
        Outcome::Lost => "Lost with the connection", "Perdida con la conexión";
    }
    /// How a charger restarts.
    reset(ResetType) {
        ResetType::Soft => "after ending what runs", "tras terminar lo que está en curso";
        ResetType::Hard => "at once", "de inmediato";
    }
    /// What a charger can be asked to send.
    trigger(Trigger) {
        Trigger::BootNotification => "what it is", "qué equipo es";
        Trigger::DiagnosticsStatusNotification => "how diagnostics go", "cómo va el diagnóstico";
        Trigger::FirmwareStatusNotification => "how the firmware update goes", "cómo va la actualización de firmware";
        Trigger::Heartbeat => "a sign of life", "una señal de vida";
        Trigger::MeterValues => "meter values", "lecturas del contador";
        Trigger::StatusNotification => "the state of its connectors", "el estado de sus conectores";
    }
    /// Where a session stands.
    session_state(SessionState) {
        SessionState::Active => "Charging", "Cargando";
        SessionState::Interrupted => "Interrupted", "Interrumpida";
        SessionState::Ended => "Ended", "Terminada";
        SessionState::Refused => "Refused", "Rechazada";
    }
    /// Why a session ended.
    stop_reason(StopReason) {
        StopReason::DeAuthorized => "tag no longer accepted", "tarjeta ya no aceptada";
        StopReason::EmergencyStop => "emergency stop", "parada de emergencia";
        StopReason::EvDisconnected => "cable pulled at the vehicle", "cable retirado del vehículo";
        StopReason::HardReset => "hard reset", "reinicio inmediato";
        StopReason::Local => "by the driver, at the station", "por el conductor, en la estación";
        StopReason::Other => "another reason", "otro motivo";
        StopReason::PowerLoss => "power lost", "corte de corriente";
        StopReason::Reboot => "the station restarted", "la estación se reinició";
        StopReason::Remote => "by a command", "por una orden";
        StopReason::SoftReset => "soft reset", "reinicio ordenado";
        StopReason::UnlockCommand => "by an unlock command", "por una orden de desbloqueo";
    }
    /// What keeps a session from being billed.
    problem(Problem) {
        Problem::NotEnded => "It has not ended", "No ha terminado";
        Problem::Refused => "Charging was refused", "La carga fue rechazada";
        Problem::StopMissing => "Its end was never reported", "Nunca se comunicó su fin";
        Problem::UnknownTransaction => "Its begin was never reported", "Nunca se comunicó su inicio";
        Problem::UnknownConnector => "It names a connector the station cannot have", "Nombra un conector que la estación no puede tener";
        Problem::NotAuthorized => "Energy flowed although charging was refused", "Se suministró energía aunque la carga fue rechazada";
        Problem::TimeMissing => "The charger gave no usable time", "El cargador no dio una hora válida";
        Problem::EndsBeforeStart => "It ends before it begins", "Termina antes de empezar";
        Problem::MeterStartMissing => "The meter's begin is missing", "Falta la lectura inicial";
        Problem::MeterStopMissing => "The meter's end is missing", "Falta la lectura final";
        Problem::MeterRanBackwards => "The meter ran backwards", "El contador retrocedió";
        Problem::MeterStartLost => "The meter's begin was lost", "Se perdió la lectura inicial";
        Problem::EnergyAbovePower => "More energy than the connector can deliver", "Más energía de la que el conector puede dar";
    }
    /// Whether a tag's holder may charge.
    tag_status(IdTagStatus) {
        IdTagStatus::Accepted => "Accepted", "Aceptada";
        IdTagStatus::Blocked => "Blocked", "Bloqueada";
        IdTagStatus::Expired => "Expired", "Caducada";
        IdTagStatus::Invalid => "Invalid", "No válida";
    }
    /// What the holder of a token may do.
    role(Role) {
        Role::Viewer => "viewer", "lectura";
        Role::Operator => "operator", "operación";
        Role::Admin => "admin", "administración";
    }
    /// How a drill ended.
    drill_end(DrillEnd) {
        DrillEnd::Completed => "Completed", "Completado";
        DrillEnd::Aborted => "Ended early", "Interrumpido";
        DrillEnd::Stopped => "Ended with the server", "Terminó con el servidor";
    }
    /// How it went.
    sentiment(Sentiment) {
        Sentiment::Positive => "It went well", "Fue bien";
        Sentiment::Negative => "It went badly", "Fue mal";
        Sentiment::Neutral => "As it goes", "Como siempre";
    }
}

/// A command by its name in events and rows.
pub fn command(lang: Lang, name: &str) -> &'static str {
    let (en, es) = match name {
        "reset" => ("Restart", "Reiniciar"),
        "unlock_connector" => ("Unlock connector", "Desbloquear conector"),
        "change_availability" => ("Change availability", "Cambiar disponibilidad"),
        "change_configuration" => ("Set configuration", "Cambiar configuración"),
        "get_configuration" => ("Read configuration", "Leer configuración"),
        "clear_cache" => ("Forget cached tags", "Borrar tarjetas guardadas"),
        "trigger_message" => ("Ask for a message", "Pedir un mensaje"),
        "request_start_transaction" => ("Start charging", "Iniciar carga"),
        "request_stop_transaction" => ("Stop charging", "Detener carga"),
        "data_transfer" => ("Send maker's message", "Enviar mensaje del fabricante"),
        _ => ("Command", "Orden"),
    };
    lang.pick(en, es)
}

/// A command with what it asks for, as far as that is not in its name.
pub fn command_with(lang: Lang, of: &Command) -> String {
    let name = command(lang, of.name());
    let evse = |evse: &Option<domain::EvseNo>| {
        evse.map_or_else(String::new, |evse| format!(" · EVSE {evse}"))
    };
    match of {
        Command::Reset { kind } => format!("{name} · {}", reset(lang, *kind)),
        Command::UnlockConnector { evse, connector } => format!("{name} · {evse}/{connector}"),
        Command::ChangeAvailability {
            evse: number,
            connector,
            availability: wanted,
        } => {
            let connector = connector.map_or_else(String::new, |it| format!("/{it}"));
            format!(
                "{name} · {}{}{connector}",
                availability(lang, *wanted),
                evse(number)
            )
        }
        Command::ChangeConfiguration { key, value } => format!("{name} · {key} = {value}"),
        Command::GetConfiguration { keys } if keys.is_empty() => name.to_owned(),
        Command::GetConfiguration { keys } => format!("{name} · {}", keys.join(", ")),
        Command::ClearCache {} => name.to_owned(),
        Command::TriggerMessage {
            message,
            evse: number,
        } => {
            format!("{name} · {}{}", trigger(lang, *message), evse(number))
        }
        Command::RequestStartTransaction {
            id_tag,
            evse: number,
        } => {
            format!("{name} · {id_tag}{}", evse(number))
        }
        Command::RequestStopTransaction { transaction_id } => format!("{name} · {transaction_id}"),
        Command::DataTransfer { vendor_id, .. } => format!("{name} · {vendor_id}"),
    }
}

/// Which part decided a status, and why.
pub fn cause(lang: Lang, of: &Cause) -> String {
    let connector = of.connector.map_or_else(String::new, |it| format!("/{it}"));
    let part = match (of.level, of.evse) {
        (Level::Connection | Level::Station, _) | (_, None) => None,
        (Level::Evse, Some(evse)) => Some(format!("EVSE {evse}")),
        (Level::Connector, Some(evse)) => {
            let word = lang.pick("connector", "conector");
            Some(format!("{word} {evse}{connector}"))
        }
    };
    let why = match of.reason {
        Reason::Offline => lang.pick("no connection", "no hay conexión"),
        Reason::Operator => lang.pick(
            "taken out by the operator",
            "fuera de servicio por decisión del operador",
        ),
        Reason::Reported => match of.level {
            Level::Station => lang.pick("the station reports it", "lo comunica la estación"),
            _ => lang.pick("reported", "comunicado"),
        },
        Reason::NeverReported => lang.pick("nothing reported yet", "nada comunicado todavía"),
        Reason::NoParts => lang.pick("it has no connectors", "no tiene conectores"),
    };
    match part {
        Some(part) => format!("{part}: {why}"),
        None => why.to_owned(),
    }
}

/// Why a connection ended, as the event tells it.
pub fn disconnect_reason(lang: Lang, told: &str) -> &str {
    let known = DisconnectReason::ALL.iter().find(|it| it.as_str() == told);
    match (known, told) {
        (Some(reason), _) => disconnection(lang, *reason),
        (None, NODE_LOST) => lang.pick("the server failed", "falló el servidor"),
        (None, other) => other,
    }
}

/// A connector's kind as people call it.
pub fn kind(code: &str) -> &str {
    match code {
        "cCCS1" => "CCS 1",
        "cCCS2" => "CCS 2",
        "cG105" => "CHAdeMO",
        "cType1" => "Type 1",
        "cType2" | "sType2" => "Type 2",
        "sType3" => "Type 3",
        "cTesla" => "NACS",
        "s309-1P-16A" | "s309-1P-32A" | "s309-3P-16A" | "s309-3P-32A" => "CEE",
        "sCEE-7-7" => "Schuko",
        other => other,
    }
}

/// The face of a connector: the name of its icon.
pub fn face(code: Option<&str>) -> &'static str {
    match code.unwrap_or_default() {
        "cCCS1" | "cCCS2" => "face-ccs",
        "cG105" => "face-chademo",
        "cType2" | "sType2" => "face-type2",
        _ => "face-other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_words() {
        for name in Command::NAMES {
            for lang in Lang::ALL {
                let word = command(lang, name);
                assert!(!["Command", "Orden"].contains(&word), "{name}");
            }
        }
    }

    #[test]
    fn languages_differ() {
        // Where a whole set reads the same, somebody forgot to translate it.
        fn check<T: Copy>(all: &[T], word: fn(Lang, T) -> &'static str) {
            let same = all
                .iter()
                .filter(|it| word(Lang::En, **it) == word(Lang::Es, **it));
            assert_eq!(same.count(), 0);
        }
        check(StationStatus::ALL, station_status);
        check(Status::ALL, status);
        check(ConnectorStatus::ALL, reported);
        check(Outcome::ALL, outcome);
        check(Problem::ALL, problem);
        check(StopReason::ALL, stop_reason);
        check(SessionState::ALL, session_state);
        check(IdTagStatus::ALL, tag_status);
        check(Role::ALL, role);
        check(Sentiment::ALL, sentiment);
        check(DrillEnd::ALL, drill_end);
    }
}
