//! What happened, in a sentence.

use domain::status::Level;
use domain::{Event, EventKind, Outcome, Status};
use jiff::Timestamp;

use super::look::{self, Icon};
use super::phrases::Lang;
use super::words;

/// An event as people are told of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its place in the sequence.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// An icon.
    pub icon: Icon<'static>,
    /// How it is to be taken: `good`, `bad` or `plain`.
    pub tone: &'static str,
    /// Where, when it is told of the whole network: the station's name.
    pub station: Option<String>,
    /// The station's page.
    pub path: Option<String>,
    /// What happened.
    pub text: String,
}

/// What happened to a station, told on its own page.
pub fn of_station(lang: Lang, event: &Event) -> Told {
    let inner = &event.event;
    let (icon, tone) = look(&inner.kind);
    let place = match (inner.evse, inner.connector) {
        (Some(evse), Some(connector)) => {
            format!(
                "{} {evse}/{connector}: ",
                lang.pick("Connector", "Conector")
            )
        }
        (Some(evse), None) => format!("EVSE {evse}: "),
        _ => String::new(),
    };
    Told {
        seq: event.seq,
        at: inner.at,
        icon: Icon(icon),
        tone,
        station: None,
        path: None,
        text: format!("{place}{}", sentence(lang, &inner.kind)),
    }
}

/// What happened anywhere: with the station's name, where it has one.
pub fn of_network(lang: Lang, event: &Event, name: Option<&str>) -> Told {
    let id = event.event.station_id.as_ref();
    Told {
        station: name
            .map(str::to_owned)
            .or_else(|| id.map(ToString::to_string)),
        // A station that is gone has a history and no page; its history tells of its end.
        path: id.map(|id| match name {
            Some(_) => format!("/console/stations/{id}"),
            None => format!("/console/stations/{id}/history"),
        }),
        ..of_station(lang, event)
    }
}

/// Icon and tone.
fn look(kind: &EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::StationStatusChanged { to, .. } => (to.as_str(), tone(to.as_str())),
        EventKind::EvseStatusChanged { to, .. } | EventKind::ConnectorStatusChanged { to, .. } => {
            (to.as_str(), tone(to.as_str()))
        }
        EventKind::StationReported { reported, .. } => {
            let class = reported.class().as_str();
            (class, tone(class))
        }
        EventKind::StationConnected { .. } => ("online", "good"),
        EventKind::StationDisconnected { .. } => ("offline", "bad"),
        EventKind::StationBooted { .. } => ("power", "plain"),
        EventKind::SessionStarted { .. } => ("occupied", "plain"),
        EventKind::SessionEnded { problems, .. } if problems.is_empty() => ("bolt", "good"),
        EventKind::SessionEnded { .. } | EventKind::SessionRefused { .. } => ("bolt", "bad"),
        EventKind::CommandEnded { outcome, .. } if *outcome != Outcome::Accepted => {
            ("command", "bad")
        }
        EventKind::CommandEnded { .. } => ("command", "good"),
        EventKind::CommandCreated { .. } => ("command", "plain"),
        EventKind::AvailabilityChanged { .. } => ("unavailable", "plain"),
        EventKind::CredentialsChanged { .. }
        | EventKind::TokenCreated { .. }
        | EventKind::TokenRevoked { .. } => ("key", "plain"),
        EventKind::IdTagChanged {} | EventKind::IdTagDeleted {} => ("card", "plain"),
        EventKind::JournalEntryCreated { .. }
        | EventKind::JournalEntryUpdated { .. }
        | EventKind::JournalEntryDeleted { .. }
        | EventKind::JournalEntryAnalyzed { .. }
        | EventKind::JournalCleared {} => ("book", "plain"),
        EventKind::DrillStarted { .. } | EventKind::DrillEnded { .. } => ("drill", "plain"),
        EventKind::FirmwareStatus { .. }
        | EventKind::DiagnosticsStatus { .. }
        | EventKind::DataReceived { .. } => ("info", "plain"),
        EventKind::StationCreated { .. }
        | EventKind::StationUpdated { .. }
        | EventKind::StationDeleted {}
        | EventKind::EvseCreated {}
        | EventKind::EvseDeleted {}
        | EventKind::ConnectorCreated {}
        | EventKind::ConnectorUpdated {}
        | EventKind::ConnectorDeleted {} => ("station", "plain"),
    }
}

fn tone(status: &str) -> &'static str {
    match status {
        "faulted" | "offline" => "bad",
        "available" => "good",
        _ => "plain",
    }
}

#[expect(clippy::too_many_lines, reason = "an arm for each kind")]
fn sentence(lang: Lang, kind: &EventKind) -> String {
    let say = |en: &str, es: &str| lang.pick(en, es).to_owned();
    match kind {
        EventKind::StationCreated { name } => {
            format!(
                "{}: {name}",
                lang.pick("Station entered", "Estación dada de alta")
            )
        }
        EventKind::StationUpdated { name, .. } => {
            format!(
                "{}: {name}",
                lang.pick("Station changed", "Estación modificada")
            )
        }
        EventKind::StationDeleted {} => say("Station removed", "Estación eliminada"),
        EventKind::StationConnected { protocol, .. } => {
            format!(
                "{} ({protocol})",
                lang.pick("Charger connected", "Cargador conectado")
            )
        }
        EventKind::StationDisconnected { reason, .. } => {
            let said = lang.pick("Connection ended", "Conexión terminada");
            format!("{said} ({})", words::disconnect_reason(lang, reason))
        }
        EventKind::StationBooted { hardware } => {
            let parts = [
                &hardware.vendor,
                &hardware.model,
                &hardware.firmware_version,
            ];
            let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
            let said = lang.pick("Charger started", "Cargador iniciado");
            format!("{said}: {}", parts.join(" "))
        }
        EventKind::StationStatusChanged { from, to, cause } => {
            let (from, to) = (
                words::station_status(lang, *from),
                words::station_status(lang, *to),
            );
            match cause.level {
                Level::Connection => format!("{from} → {to}"),
                _ => format!("{from} → {to} ({})", words::cause(lang, cause)),
            }
        }
        EventKind::StationReported {
            reported,
            error_code,
            info,
        } => {
            let said = lang.pick("The station reports", "La estación comunica");
            format!(
                "{said}: {}{}",
                words::reported(lang, *reported),
                more(error_code, info)
            )
        }
        EventKind::AvailabilityChanged { availability } => {
            let said = lang.pick("By decision", "Por decisión del operador");
            format!("{said}: {}", words::availability(lang, *availability))
        }
        EventKind::CredentialsChanged { security_profile } => {
            let said = lang.pick(
                "The charger's credentials were set, security profile",
                "Se fijaron las credenciales del cargador, perfil de seguridad",
            );
            format!("{said} {security_profile}")
        }
        EventKind::EvseStatusChanged { from, to, .. } => change(lang, *from, *to),
        EventKind::EvseCreated {} | EventKind::ConnectorCreated {} => say("added", "añadido"),
        EventKind::ConnectorUpdated {} => say("changed", "modificado"),
        EventKind::EvseDeleted {} | EventKind::ConnectorDeleted {} => say("removed", "eliminado"),
        EventKind::ConnectorStatusChanged {
            from,
            to,
            reported,
            error_code,
            info,
        } => {
            let reported = words::reported(lang, *reported);
            let more = more(error_code, info);
            if from == to {
                format!("{reported}{more}")
            } else {
                format!("{} ({reported}){more}", change(lang, *from, *to))
            }
        }
        EventKind::SessionStarted { .. } => say("Charging began", "Empezó una carga"),
        EventKind::SessionRefused { id_tag_status, .. } => {
            let said = lang.pick("Charging refused, tag", "Carga rechazada, tarjeta");
            format!(
                "{said}: {}",
                words::tag_status(lang, *id_tag_status).to_lowercase()
            )
        }
        EventKind::SessionEnded {
            energy_wh,
            reason,
            problems,
            ..
        } => {
            let mut said = say("Charging ended", "Terminó una carga");
            if let Some(energy) = energy_wh {
                said = format!("{said}: {}", look::energy(lang, *energy));
            }
            if let Some(reason) = reason {
                said = format!("{said}, {}", words::stop_reason(lang, *reason));
            }
            if let Some(problem) = problems.first() {
                said = format!("{said}. {}", words::problem(lang, *problem));
            }
            said
        }
        EventKind::CommandCreated { command, .. } => {
            let said = lang.pick("Command given", "Orden dada");
            format!("{said}: {}", words::command(lang, command))
        }
        EventKind::CommandEnded {
            command, outcome, ..
        } => {
            let command = words::command(lang, command);
            format!(
                "{command}: {}",
                words::outcome(lang, *outcome).to_lowercase()
            )
        }
        EventKind::FirmwareStatus { status } => {
            format!(
                "{}: {status}",
                lang.pick("Firmware update", "Actualización de firmware")
            )
        }
        EventKind::DiagnosticsStatus { status } => {
            format!("{}: {status}", lang.pick("Diagnostics", "Diagnóstico"))
        }
        EventKind::DataReceived {
            vendor_id,
            message_id,
            ..
        } => {
            let message = message_id.as_deref().unwrap_or_default();
            let said = lang.pick("Maker's message", "Mensaje del fabricante");
            format!("{said}: {vendor_id} {message}")
        }
        EventKind::IdTagChanged {} => say("An id tag was changed", "Se modificó una tarjeta"),
        EventKind::IdTagDeleted {} => say("An id tag was removed", "Se eliminó una tarjeta"),
        EventKind::TokenCreated { role, .. } => {
            let said = lang.pick("An access token was made", "Se creó un token de acceso");
            format!("{said}: {}", words::role(lang, *role))
        }
        EventKind::TokenRevoked { .. } => say(
            "An access token was revoked",
            "Se revocó un token de acceso",
        ),
        EventKind::JournalEntryCreated { .. } => {
            say("Journal entry written", "Nota escrita en el diario")
        }
        EventKind::JournalEntryUpdated { .. } => {
            say("Journal entry changed", "Nota del diario modificada")
        }
        EventKind::JournalEntryDeleted { .. } => {
            say("Journal entry removed", "Nota del diario eliminada")
        }
        EventKind::JournalEntryAnalyzed { sentiment, .. } => {
            let said = lang.pick("Journal entry analysed", "Nota del diario analizada");
            format!(
                "{said}: {}",
                words::sentiment(lang, *sentiment).to_lowercase()
            )
        }
        EventKind::DrillStarted { node, .. } => {
            format!(
                "{} ({node})",
                lang.pick("A load drill began", "Empezó un simulacro")
            )
        }
        EventKind::DrillEnded { node, outcome, .. } => {
            let said = lang.pick("A load drill ended", "Terminó un simulacro");
            format!(
                "{said}: {} ({node})",
                words::drill_end(lang, *outcome).to_lowercase()
            )
        }
        EventKind::JournalCleared {} => say("The journal was removed", "Se eliminó el diario"),
    }
}

fn change(lang: Lang, from: Status, to: Status) -> String {
    format!(
        "{} → {}",
        words::status(lang, from),
        words::status(lang, to)
    )
}

/// What a charger adds to a report.
fn more(error_code: &Option<String>, info: &Option<String>) -> String {
    let parts: Vec<_> = [error_code, info]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!(" — {}", parts.join(", "))
}
