//! Many rows in one statement.
//!
//! A [`Statement`] is written once, for one row, with the types of its values between `«` and `»`.
//! The databases take many rows each in its own fastest way: PostgreSQL one array for each column,
//! so that the statement's text never changes; SQLite the row of placeholders repeated, in a few
//! fixed sizes, so that each size is prepared once per connection and then reused.

use std::sync::OnceLock;

use crate::StoreError;
use crate::db::{Connection, Row, Value};

/// Row counts a statement is prepared for on SQLite, largest first. It takes at most 32,766 values.
const SIZES: [usize; 5] = [128, 32, 8, 2, 1];

/// A statement over many rows: `INSERT INTO t (a, b) VALUES «text, int» RETURNING a`.
///
/// What it returns is the key of each row that it wrote, and is left out when nobody asks.
pub(crate) struct Statement {
    sql: &'static str,
    forms: OnceLock<Forms>,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
}

/// Everything that is made of a statement's text, once.
struct Forms {
    kinds: Vec<Kind>,
    silent: Texts,
    telling: Texts,
}

struct Texts {
    postgres: String,
    /// One for each of [`SIZES`].
    sqlite: Vec<String>,
}

impl Statement {
    pub(crate) const fn new(sql: &'static str) -> Self {
        Self {
            sql,
            forms: OnceLock::new(),
        }
    }

    /// True when it tells what it wrote: not writing a row then means that a guard did not hold.
    pub(crate) fn is_guarded(&self) -> bool {
        self.sql.contains(RETURNING)
    }

    /// Its place in the order in which every transaction writes. Two nodes that write the same
    /// records in the same order do not lock each other out.
    pub(crate) fn place(&self) -> &'static str {
        self.sql
    }

    /// Every text that it is sent as to PostgreSQL, or to SQLite.
    pub(crate) fn texts(&'static self, postgres: bool) -> Vec<&'static str> {
        let forms = self.forms();
        let of = |texts: &'static Texts| -> Vec<&'static str> {
            if postgres {
                vec![&texts.postgres]
            } else {
                texts.sqlite.iter().map(String::as_str).collect()
            }
        };
        [of(&forms.silent), of(&forms.telling)].concat()
    }

    fn forms(&'static self) -> &'static Forms {
        self.forms.get_or_init(|| {
            let kinds = kinds(self.sql);
            let silent = self.sql.split(RETURNING).next().unwrap_or_default();
            Forms {
                silent: Texts::of(silent, &kinds),
                telling: Texts::of(self.sql, &kinds),
                kinds,
            }
        })
    }
}

const RETURNING: &str = " RETURNING ";

impl Texts {
    fn of(sql: &str, kinds: &[Kind]) -> Self {
        Self {
            postgres: with_arrays(sql, kinds),
            sqlite: SIZES.map(|rows| with_rows(sql, kinds, rows)).into(),
        }
    }
}

/// A statement and its rows.
pub(crate) struct Batch {
    statement: &'static Statement,
    rows: Vec<Value>,
}

impl Batch {
    pub(crate) fn new(statement: &'static Statement) -> Self {
        Self {
            statement,
            rows: Vec::new(),
        }
    }

    /// Adds a row. Texts are shared, not copied.
    pub(crate) fn push(&mut self, row: &[Value]) {
        debug_assert_eq!(row.len(), kinds(self.statement.sql).len());
        self.rows.extend_from_slice(row);
    }

    /// Runs it over all rows, and tells whether it wrote every one.
    pub(crate) async fn run(self, connection: &mut Connection) -> Result<bool, StoreError> {
        let forms = self.statement.forms();
        let wanted = self.rows.len() / forms.kinds.len();
        let mut written = 0;
        match connection {
            Connection::Postgres(_) => {
                written = connection
                    .execute_arrays(&forms.silent.postgres, &forms.kinds, &self.rows)
                    .await?;
            }
            Connection::Sqlite(_) => {
                for (sql, rows) in pieces(&forms.silent, forms.kinds.len(), &self.rows) {
                    written += connection.execute(sql, rows).await?;
                }
            }
        }
        Ok(usize::try_from(written).is_ok_and(|written| written == wanted))
    }

    /// Runs it over all rows and gives back the keys of those that it wrote. Slower.
    pub(crate) async fn run_telling(
        self,
        connection: &mut Connection,
    ) -> Result<Vec<Row>, StoreError> {
        let forms = self.statement.forms();
        match connection {
            Connection::Postgres(_) => {
                connection
                    .fetch_arrays(&forms.telling.postgres, &forms.kinds, &self.rows)
                    .await
            }
            Connection::Sqlite(_) => {
                let mut returned = Vec::new();
                for (sql, rows) in pieces(&forms.telling, forms.kinds.len(), &self.rows) {
                    returned.extend(connection.fetch(sql, rows).await?);
                }
                Ok(returned)
            }
        }
    }
}

/// Cuts rows into pieces of the sizes there are statements for.
fn pieces<'a>(
    texts: &'static Texts,
    columns: usize,
    rows: &'a [Value],
) -> impl Iterator<Item = (&'static str, &'a [Value])> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let left = rest.len() / columns;
        let (size, sql) = SIZES
            .iter()
            .zip(&texts.sqlite)
            .find(|(size, _)| **size <= left)?;
        let (now, later) = rest.split_at(size * columns);
        rest = later;
        Some((sql.as_str(), now))
    })
}

/// SQLite: `VALUES (?, ?), (?, ?)`. A first row of casts settles the types. The placeholders have
/// no numbers, because SQLite looks each number up among all others.
fn with_rows(sql: &str, kinds: &[Kind], rows: usize) -> String {
    let names = kinds.iter().map(|kind| kind.name());
    let casts: Vec<String> = names.map(|name| format!("CAST(? AS {name})")).collect();
    let first = format!("({})", casts.join(", "));
    let other = format!("({})", vec!["?"; kinds.len()].join(", "));
    let mut all = vec![first];
    all.resize(rows, other);
    replace_row(sql, &format!("VALUES {}", all.join(", ")))
}

/// PostgreSQL: one array for each column.
fn with_arrays(sql: &str, kinds: &[Kind]) -> String {
    let each = |text: &dyn Fn(usize, &str) -> String| {
        let names = kinds.iter().map(|kind| kind.name());
        let all: Vec<String> = (1..).zip(names).map(|(n, name)| text(n, name)).collect();
        all.join(", ")
    };
    let arrays = each(&|n, name| format!("CAST(${n} AS {name}[])"));
    let names = each(&|n, _| format!("column{n}"));
    let rows = format!("SELECT * FROM UNNEST({arrays}) AS u ({names})");
    replace_row(sql, &rows)
}

/// Puts the rows where `VALUES «…»` stands.
fn replace_row(sql: &str, rows: &str) -> String {
    let (head, rest) = sql.split_once("VALUES «").unwrap_or((sql, "»"));
    let tail = rest.split_once('»').map_or("", |(_, tail)| tail);
    format!("{head}{rows}{tail}")
}

/// The types named between the guillemets.
fn kinds(sql: &str) -> Vec<Kind> {
    let row = sql
        .split_once('«')
        .and_then(|(_, rest)| rest.split_once('»'))
        .map_or("", |(row, _)| row);
    row.split(',')
        .map(|kind| match kind.trim() {
            "int" => Kind::Int,
            _ => Kind::Text,
        })
        .collect()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Int => "BIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "INSERT INTO t (a, b) VALUES «text, int» RETURNING a";

    #[test]
    fn sqlite_repeats_the_row() {
        assert_eq!(
            with_rows(SQL, &kinds(SQL), 3),
            "INSERT INTO t (a, b) VALUES (CAST(? AS TEXT), CAST(? AS BIGINT)), (?, ?), (?, ?) \
             RETURNING a"
        );
    }

    #[test]
    fn postgres_takes_columns() {
        assert_eq!(
            with_arrays(SQL, &kinds(SQL)),
            "INSERT INTO t (a, b) SELECT * FROM UNNEST(CAST($1 AS TEXT[]), CAST($2 AS BIGINT[])) \
             AS u (column1, column2) RETURNING a"
        );
    }

    #[test]
    fn rows_are_cut_into_the_sizes_there_are() {
        static STATEMENT: Statement = Statement::new(SQL);
        let rows = vec![Value::Int(1); 2 * 171];
        let cut = pieces(&STATEMENT.forms().silent, 2, &rows);
        let sizes: Vec<usize> = cut.map(|(_, rows)| rows.len() / 2).collect();
        assert_eq!(sizes, [128, 32, 8, 2, 1]);
    }
}
