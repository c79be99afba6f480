//! What went wrong, as a page for people.

use askama::Template as _;
use axum::response::{IntoResponse, Response};
use domain::token::Role;
use http::{HeaderValue, Method, StatusCode, header};

use super::page::{Page, Place, render};
use super::phrases::Say;
use super::visit::{Visit, can_come_back, go_to};
use super::{ROOT, sign_in, words};
use crate::app::{App, AppError, Conflict, Failure, Meaningless};

/// Why a request could not be answered with its page.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nobody is signed in.
    SignIn,
    /// His role is too weak; this one would do.
    Forbidden(Role),
    /// The form is none of ours, or has lost what makes it so.
    Forged,
    /// There is no such thing.
    NotFound,
    /// It cannot be asked in this way.
    NotAllowed,
    /// What was entered does not hold: which field, and why.
    Invalid(Vec<(Say, Say)>),
    /// The form is too large, or cannot be read.
    Unreadable,
    /// Too many live streams.
    TooMany,
    /// It is the token that he is signed in with.
    Own,
    /// A use-case said no.
    Refused {
        /// The status it stands for.
        status: StatusCode,
        /// What happened, in the reader's language.
        say: Say,
        /// When to come back, in seconds.
        retry_after: Option<u64>,
    },
}

#[derive(askama::Template)]
#[template(path = "fault.html")]
struct FaultPage {
    page: Page,
    status: u16,
    what: String,
    invalid: Vec<(&'static str, &'static str)>,
    /// Where to sign in, for who is not.
    door: Option<String>,
    /// The page that he comes from.
    back: Option<String>,
}

impl Fault {
    /// What was entered into a field does not hold.
    pub fn invalid(field: Say, why: Say) -> Self {
        Self::Invalid(vec![(field, why)])
    }

    fn refused(status: StatusCode, say: Say) -> Self {
        Self::Refused {
            status,
            say,
            retry_after: None,
        }
    }

    /// The page that tells it.
    pub async fn page(self, app: &App, visit: Visit, method: &Method) -> Response {
        let t = visit.lang.phrases();
        let reads = can_come_back(method);
        let mut door = None;
        if let Self::SignIn = self {
            if reads {
                return go_to(&sign_in::path(&visit.here));
            }
            door = Some(sign_in::path(visit.from.as_deref().unwrap_or(ROOT)));
        }
        let back = visit.from.clone();
        let back = back.filter(|back| door.is_none() && !(reads && *back == visit.here));
        let status = self.status();
        let (mut invalid, mut retry) = (Vec::new(), None);
        let what = match self {
            Self::SignIn => t.fault_sign_in.to_owned(),
            Self::Forbidden(least) => {
                let role = words::role(visit.lang, least);
                t.fault_forbidden.replace("{role}", role)
            }
            Self::Forged => t.fault_forged.to_owned(),
            Self::NotFound => t.fault_not_found.to_owned(),
            Self::NotAllowed => t.fault_not_allowed.to_owned(),
            Self::Unreadable => t.fault_unreadable.to_owned(),
            Self::TooMany => t.fault_too_many.to_owned(),
            Self::Own => t.fault_own_token.to_owned(),
            Self::Invalid(faults) => {
                invalid = faults
                    .iter()
                    .map(|(field, why)| (field(t), why(t)))
                    .collect();
                t.fault_invalid.to_owned()
            }
            Self::Refused {
                say, retry_after, ..
            } => {
                retry = retry_after;
                say(t).to_owned()
            }
        };
        let from = visit.from.clone();
        let mut page = visit.page(app, Place::Elsewhere, t.fault_title).await;
        if !reads {
            // Where a form was sent there may be nothing to read.
            page.here = from.unwrap_or_else(|| ROOT.to_owned());
        }
        let told = FaultPage {
            page,
            status: status.as_u16(),
            what,
            invalid,
            door,
            back,
        };
        let mut response = render(told.render());
        *response.status_mut() = status;
        if let Some(seconds) = retry {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Forged => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Self::Own => StatusCode::CONFLICT,
            Self::Refused { status, .. } => *status,
        }
    }
}

impl IntoResponse for Fault {
    /// Only a note for `visit::receive`, which knows who reads it and makes a page of it.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<AppError> for Fault {
    fn from(error: AppError) -> Self {
        let later = |say: Say, seconds| Self::Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            say,
            retry_after: Some(seconds),
        };
        match error {
            AppError::NotFound(_) => Self::NotFound,
            AppError::Conflict(why) => Self::refused(StatusCode::CONFLICT, conflict(&why)),
            AppError::PreconditionFailed => {
                Self::refused(StatusCode::PRECONDITION_FAILED, |t| t.fault_changed)
            }
            AppError::Unprocessable(Meaningless::KeyReused) => {
                Self::refused(StatusCode::UNPROCESSABLE_ENTITY, |t| t.wrong_resent)
            }
            AppError::Unprocessable(Meaningless::NoSuchStation(_)) => {
                Self::invalid(|t| t.station, |t| t.wrong_no_station)
            }
            AppError::Unprocessable(Meaningless::NothingToDo) => {
                Self::invalid(|t| t.drill_load, |t| t.wrong_drill)
            }
            AppError::Offline => Self::refused(StatusCode::CONFLICT, |t| t.fault_offline),
            AppError::Superseded => Self::refused(StatusCode::CONFLICT, |t| t.fault_conflict),
            AppError::Unreachable => later(|t| t.fault_unreachable, 5),
            AppError::Disabled(_) => Self::refused(StatusCode::FORBIDDEN, |t| t.fault_disabled),
            AppError::Forgotten(_) => Self::refused(StatusCode::GONE, |t| t.fault_forgotten),
            AppError::Busy => later(|t| t.fault_busy, 1),
            AppError::Unavailable => later(|t| t.fault_unavailable, 5),
            AppError::InDoubt => later(|t| t.fault_in_doubt, 5),
            AppError::Analysis(failure) => of_analysis(&failure),
            // The one place where it is handled, so the one place where it is logged.
            AppError::Internal(inner) => {
                tracing::error!(error = inner, "a page of the console failed");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::refused(status, |t| t.fault_internal)
            }
        }
    }
}

/// Why the state of things forbids it. What no form of ours can cause shares a phrase.
fn conflict(why: &Conflict) -> Say {
    match why {
        Conflict::UnderWay => |t| t.conflict_under_way,
        Conflict::Gone => |t| t.conflict_gone,
        Conflict::Changed | Conflict::EntryChanged => |t| t.fault_changed,
        Conflict::DrillRuns { .. } | Conflict::DrillAtItsEdge => |t| t.conflict_drill,
        Conflict::SessionElsewhere | Conflict::SessionNotActive | Conflict::NoSession => {
            |t| t.conflict_session
        }
        Conflict::StationTaken(_) | Conflict::Station(_) => |t| t.fault_conflict,
    }
}

fn of_analysis(failure: &Failure) -> Fault {
    tracing::warn!(%failure, "no analysis");
    let retry_after = failure.retry_after().map(|after| after.as_secs().max(1));
    let (status, say): (_, Say) = match failure {
        _ if retry_after.is_some() => (StatusCode::SERVICE_UNAVAILABLE, |t| t.fault_analysis_busy),
        Failure::TimedOut => (StatusCode::GATEWAY_TIMEOUT, |t| t.fault_analysis_late),
        _ => (StatusCode::BAD_GATEWAY, |t| t.fault_analysis),
    };
    Fault::Refused {
        status,
        say,
        retry_after,
    }
}
