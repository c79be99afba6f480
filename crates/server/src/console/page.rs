//! What every page has around it, and what templates say things with.

use axum::response::{Html, IntoResponse, Response};
use domain::token::{Role, Token};
use domain::{StationStatus, Status, WattHours, Watts};
use http::StatusCode;
use jiff::Timestamp;
use uuid::Uuid;

use super::assets::{self, Asset};
use super::look::{Icon, Moment, State};
use super::phrases::{Lang, Phrases, Say};
use super::preferences::Theme;
use super::visit::Visit;
use super::{look, words};
use crate::app::App;

/// The page's place among the others: which link of the navigation is the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The network.
    Overview,
    /// Charging sessions.
    Sessions,
    /// Who may charge.
    IdTags,
    /// The field journal.
    Journal,
    /// Load drills.
    Drills,
    /// Access tokens.
    Tokens,
    /// The service itself.
    About,
    /// None of these.
    Elsewhere,
}

/// What every page has around it.
#[derive(Debug)]
pub struct Page {
    /// The phrases of the reader's language.
    pub t: &'static Phrases,
    /// The language.
    pub lang: Lang,
    /// Light or dark.
    pub theme: Theme,
    /// Who reads, when he is signed in.
    pub who: Option<Token>,
    /// What forms must carry.
    pub csrf: String,
    /// What tells one sending of a form from another.
    pub once: Uuid,
    /// Which link is the present one.
    pub place: Place,
    /// What it is called.
    pub title: String,
    /// Path and query, to come back to.
    pub here: String,
    /// When it was made.
    pub now: Timestamp,
    /// The last event that it knows of.
    pub seq: i64,
    /// How many stations need a person.
    pub trouble: usize,
}

/// A link of the navigation.
pub struct Link {
    /// Where to.
    pub path: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// Its icon.
    pub icon: Icon<'static>,
    /// Whether it is the present page.
    pub here: bool,
}

impl Page {
    /// A page for a visit.
    pub async fn new(app: &App, visit: Visit, place: Place, title: String) -> Self {
        let (seq, trouble) = match &visit.signed_in {
            // Without the board a page still says what it has to say.
            Some(_) => app.desk.standing(app).await.unwrap_or_default(),
            None => (0, 0),
        };
        Self {
            t: visit.lang.phrases(),
            lang: visit.lang,
            theme: visit.theme,
            who: visit.signed_in.map(|who| who.token),
            csrf: visit.csrf,
            once: app.new_id(),
            place,
            title,
            here: visit.here,
            now: app.clock.now(),
            seq,
            trouble,
        }
    }

    /// What the tab is called: trouble first.
    pub fn tab(&self) -> String {
        let trouble = match self.trouble {
            0 => String::new(),
            count => format!("({count}) "),
        };
        format!("{trouble}{} · Enchufe", self.title)
    }

    /// Whether the reader may do what needs this role.
    fn may(&self, least: Role) -> bool {
        self.who.as_ref().is_some_and(|who| who.role >= least)
    }

    /// Whether he may run the network.
    pub fn operates(&self) -> bool {
        self.may(Role::Operator)
    }

    /// Whether he may say who else may.
    pub fn administers(&self) -> bool {
        self.may(Role::Admin)
    }

    /// The navigation, as far as the reader's role goes.
    pub fn links(&self) -> Vec<Link> {
        let t = self.t;
        let all = [
            (
                Place::Overview,
                "/console",
                t.overview,
                "gauge",
                Role::Viewer,
            ),
            (
                Place::Sessions,
                "/console/sessions",
                t.sessions,
                "bolt",
                Role::Viewer,
            ),
            (
                Place::IdTags,
                "/console/id-tags",
                t.id_tags,
                "card",
                Role::Viewer,
            ),
            (
                Place::Journal,
                "/console/journal",
                t.journal,
                "book",
                Role::Viewer,
            ),
            (
                Place::Drills,
                "/console/drills",
                t.drills,
                "drill",
                Role::Viewer,
            ),
            (
                Place::Tokens,
                "/console/tokens",
                t.tokens,
                "key",
                Role::Admin,
            ),
            (
                Place::About,
                "/console/about",
                t.about,
                "info",
                Role::Viewer,
            ),
        ];
        let seen = all.into_iter().filter(|(.., least)| self.may(*least));
        seen.map(|(place, path, name, icon, _)| Link {
            path,
            name,
            icon: Icon(icon),
            here: place == self.place,
        })
        .collect()
    }

    /// The reader's role in words.
    pub fn role(&self) -> &'static str {
        self.who
            .as_ref()
            .map_or("", |who| words::role(self.lang, who.role))
    }

    /// How long ago a moment is.
    pub fn ago(&self, at: &Timestamp) -> Moment {
        Moment::ago(*at, self.now)
    }

    /// A station's state.
    pub fn station(&self, status: &StationStatus) -> State {
        State::new(status.as_str(), words::station_status(self.lang, *status))
    }

    /// The state of a connector or an EVSE.
    pub fn state(&self, status: &Status) -> State {
        State::new(status.as_str(), words::status(self.lang, *status))
    }

    /// Energy.
    pub fn energy(&self, energy: &WattHours) -> String {
        look::energy(self.lang, *energy)
    }

    /// Power.
    pub fn power(&self, power: &Watts) -> String {
        look::power(self.lang, *power)
    }

    /// A count.
    pub fn count(&self, count: impl Count) -> String {
        look::count(self.lang, count.count())
    }

    /// A phrase that was chosen before it was known in which language.
    pub fn say(&self, say: &Say) -> &'static str {
        say(self.t)
    }

    /// A phrase with a number in it.
    pub fn n(&self, phrase: &str, count: impl Count) -> String {
        phrase.replace("{n}", &self.count(count))
    }
}

#[expect(
    clippy::unused_self,
    reason = "templates say everything through their page"
)]
impl Page {
    /// The time between two moments.
    pub fn between(&self, from: &Timestamp, to: &Timestamp) -> String {
        look::duration(to.as_second() - from.as_second())
    }

    /// The stylesheet.
    pub fn style(&self) -> &'static str {
        assets::path(Asset::Style)
    }

    /// The script.
    pub fn script(&self) -> &'static str {
        assets::path(Asset::Script)
    }

    /// The icons.
    pub fn icons(&self) -> &'static str {
        assets::path(Asset::Icons)
    }

    /// The tab's picture.
    pub fn mark(&self) -> &'static str {
        assets::path(Asset::Mark)
    }

    /// An icon.
    pub fn icon<'a>(&self, name: &'a str) -> Icon<'a> {
        Icon(name)
    }

    /// A moment, to the second.
    pub fn at(&self, at: &Timestamp) -> Moment {
        Moment::full(*at)
    }

    /// A moment, as the time of day.
    pub fn time(&self, at: &Timestamp) -> Moment {
        Moment::time(*at)
    }
}

/// Something that counts. Templates hand on references.
pub trait Count {
    /// How many.
    fn count(self) -> i64;
}

impl<T: Count + Copy> Count for &T {
    fn count(self) -> i64 {
        (*self).count()
    }
}

macro_rules! counts {
    ($($number:ty),+) => {$(
        impl Count for $number {
            fn count(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }
        }
    )+};
}
counts!(i64, u8, u32, u64, usize);

/// A filled template as an answer.
pub fn render(filled: Result<String, askama::Error>) -> Response {
    match filled {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "a template failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
