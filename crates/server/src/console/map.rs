//! The map: stations where they stand, drawn here and without anybody's help. Those too close to
//! each other to be told apart are one mark with their number.

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::Arc;

use domain::StationStatus;

use super::board::Row;
use super::form::Fields;
use super::page::Page;
use super::phrases::Lang;
use crate::config::Tiles;

/// The drawing's size, in its own units.
pub const WIDTH: f64 = 800.0;
/// Likewise.
pub const HEIGHT: f64 = 420.0;
/// Room around the outermost stations.
const MARGIN: f64 = 40.0;
/// Stations within a square of this size are one mark.
const CELL: f64 = 56.0;
/// Marks closer than this are one.
const CLOSE: f64 = 34.0;
/// The closest look: about two streets, in parts of the world's width.
const LEAST_SPAN: f64 = 1.0 / 40_000.0;
/// Where Mercator's map ends, north and south.
const MOST_LATITUDE: f64 = 85.0;
/// Room that a meridian's label needs to its right.
const LABEL: f64 = 60.0;
/// Lines of the grid, each way, at most.
const GRID_LINES: f64 = 7.0;
/// A tile's size, and the closest zoom.
const TILE: f64 = 256.0;
const MAX_ZOOM: i32 = 19;
/// Tiles of one map at most; the size of the drawing needs no more than two dozen.
const MAX_TILES: usize = 64;

/// A map, ready to be drawn.
#[derive(Debug, Default)]
pub struct Map {
    /// What stands on it.
    pub marks: Vec<Mark>,
    /// Lines of the same longitude.
    pub meridians: Vec<Line>,
    /// Lines of the same latitude.
    pub parallels: Vec<Line>,
    /// Pictures beneath.
    pub tiles: Vec<Tile>,
    /// How long the bar is, and what it stands for.
    pub scale: Option<Scale>,
    /// Whether it shows a part only.
    pub is_part: bool,
    /// Stations that nobody has said where they stand.
    pub unplaced: usize,
}

/// A mark: a station, or several.
#[derive(Debug)]
pub struct Mark {
    /// Where, from the left.
    pub x: String,
    /// Where, from the top.
    pub y: String,
    /// Its size.
    pub r: u32,
    /// The worst state of those it stands for.
    pub status: StationStatus,
    /// How many it stands for.
    pub count: usize,
    /// How many of them need a person.
    pub trouble: usize,
    /// What part of its rim that is, in hundredths.
    pub share: usize,
    /// What it is called, when it is one.
    pub name: String,
    /// Where it leads: to the station, or closer.
    pub path: String,
}

/// A line of the grid.
#[derive(Debug)]
pub struct Line {
    /// Where.
    pub at: String,
    /// Its degrees.
    pub label: String,
}

/// A picture beneath.
#[derive(Debug)]
pub struct Tile {
    /// Its address.
    pub href: String,
    /// Where, from the left.
    pub x: String,
    /// Where, from the top.
    pub y: String,
    /// Its size.
    pub size: String,
}

/// The scale.
#[derive(Debug)]
pub struct Scale {
    /// The bar's length.
    pub length: String,
    /// What it stands for.
    pub label: String,
}

/// A part of the world: from 0 to 1, eastwards and southwards, as Mercator drew it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    west: f64,
    north: f64,
    /// Drawing units to the world's width.
    scale: f64,
}

impl Map {
    /// Draws the stations: all of them, or those within the box that the query names.
    pub fn draw(lang: Lang, rows: &[Arc<Row>], query: &Fields, tiles: Option<&Tiles>) -> Self {
        let placed: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((row, project(row.place?))))
            .collect();
        let part = query.get("box").and_then(read_box);
        let Some(all) = part.or_else(|| bounds(placed.iter().map(|(_, point)| *point))) else {
            return Self {
                unplaced: rows.len(),
                ..Self::default()
            };
        };
        let window = Window::around(all);
        let marks = clusters(&window, &placed)
            .into_iter()
            .map(|cluster| cluster.mark(query))
            .collect();
        let (meridians, parallels) = window.grid(lang);
        Self {
            marks,
            meridians,
            parallels,
            tiles: tiles.map_or_else(Vec::new, |tiles| window.tiles(tiles)),
            scale: window.bar(),
            is_part: part.is_some(),
            unplaced: rows.len() - placed.len(),
        }
    }
}

impl Mark {
    /// What it says to who cannot see it.
    pub fn label(&self, page: &Page) -> String {
        let worst = super::words::station_status(page.lang, self.status);
        if self.count == 1 {
            return format!("{}: {worst}", self.name);
        }
        let all = page.n(page.t.map_cluster, self.count);
        let trouble = page.n(page.t.map_cluster_trouble, self.trouble);
        format!("{all}, {trouble}")
    }

    /// Its number as it is drawn: short.
    pub fn number(&self, page: &Page) -> String {
        if self.count < 1_000 {
            return self.count.to_string();
        }
        let point = page.lang.decimal_point();
        format!("{}{point}{}k", self.count / 1_000, self.count % 1_000 / 100)
    }
}

/// From degrees to the world as Mercator drew it.
fn project((latitude, longitude): (f64, f64)) -> (f64, f64) {
    let latitude = latitude.clamp(-MOST_LATITUDE, MOST_LATITUDE).to_radians();
    let y = 0.5 - (PI / 4.0 + latitude / 2.0).tan().ln() / (2.0 * PI);
    (longitude / 360.0 + 0.5, y)
}

/// And back.
fn degrees((x, y): (f64, f64)) -> (f64, f64) {
    let latitude = 2.0 * ((0.5 - y) * 2.0 * PI).exp().atan() - PI / 2.0;
    (latitude.to_degrees(), (x - 0.5) * 360.0)
}

/// West, north, east, south.
type Bounds = (f64, f64, f64, f64);

fn bounds(points: impl Iterator<Item = (f64, f64)>) -> Option<Bounds> {
    points.fold(None, |bounds, (x, y)| {
        let (west, north, east, south) = bounds.unwrap_or((x, y, x, y));
        Some((west.min(x), north.min(y), east.max(x), south.max(y)))
    })
}

/// A box as a query has it: south, west, north, east in degrees.
fn read_box(text: &str) -> Option<Bounds> {
    let numbers: Vec<f64> = text
        .split(',')
        .map(|part| part.parse().ok().filter(|it: &f64| it.is_finite()))
        .collect::<Option<_>>()?;
    let [south, west, north, east] = numbers[..] else {
        return None;
    };
    let on_earth = south <= north && west <= east && west >= -180.0 && east <= 180.0;
    let ((west, south), (east, north)) = (project((south, west)), project((north, east)));
    on_earth.then_some((west, north, east, south))
}

fn write_box((west, north, east, south): Bounds) -> String {
    let (north, west) = degrees((west, north));
    let (south, east) = degrees((east, south));
    format!("{south:.5},{west:.5},{north:.5},{east:.5}")
}

impl Window {
    fn around((west, north, east, south): Bounds) -> Self {
        let across = (WIDTH - 2.0 * MARGIN) / (east - west).max(LEAST_SPAN);
        let down = (HEIGHT - 2.0 * MARGIN) / (south - north).max(LEAST_SPAN);
        let scale = across.min(down);
        Self {
            west: f64::midpoint(west, east) - WIDTH / 2.0 / scale,
            north: f64::midpoint(north, south) - HEIGHT / 2.0 / scale,
            scale,
        }
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        ((x - self.west) * self.scale, (y - self.north) * self.scale)
    }

    fn corner(&self) -> (f64, f64) {
        let (across, down) = (WIDTH / self.scale, HEIGHT / self.scale);
        (self.west + across, self.north + down)
    }

    fn grid(&self, lang: Lang) -> (Vec<Line>, Vec<Line>) {
        let (top, left) = degrees((self.west, self.north));
        let (bottom, right) = degrees(self.corner());
        let step = nice((right - left) / GRID_LINES);
        let lines = |from: f64, to: f64, place: &dyn Fn(f64) -> f64, sides: [&str; 2]| {
            let first = (from / step).ceil();
            let mut lines = Vec::new();
            // Counted, because steps that are added up drift.
            for number in 0..32_u8 {
                let at = (first + f64::from(number)) * step;
                if at > to {
                    break;
                }
                let place = place(at);
                // At the right edge there is no room for one; no parallel comes as far.
                let label = if place > WIDTH - LABEL {
                    String::new()
                } else {
                    angle(lang, at, step, sides)
                };
                lines.push(Line {
                    at: short(place),
                    label,
                });
            }
            lines
        };
        let across = |longitude: f64| self.at(project((0.0, longitude))).0;
        let down = |latitude: f64| self.at(project((latitude, 0.0))).1;
        let meridians = lines(left, right, &across, ["E", lang.pick("W", "O")]);
        let parallels = lines(bottom, top, &down, ["N", "S"]);
        (meridians, parallels)
    }

    fn bar(&self) -> Option<Scale> {
        let (latitude, _) = degrees((self.west, self.north + HEIGHT / 2.0 / self.scale));
        let around_the_world = 40_075_000.0 * latitude.to_radians().cos();
        let metres = around_the_world / self.scale;
        let length = nice(120.0 * metres);
        let label = if length >= 1_000.0 {
            format!("{:.0} km", length / 1_000.0)
        } else {
            format!("{length:.0} m")
        };
        (metres.is_finite() && metres > 0.0).then(|| Scale {
            length: short(length / metres),
            label,
        })
    }

    fn tiles(&self, tiles: &Tiles) -> Vec<Tile> {
        let zoom = (self.scale / TILE).log2().round();
        // A small whole number, once it is within its bounds.
        #[expect(clippy::cast_possible_truncation, reason = "clamped before")]
        let zoom = (zoom.clamp(0.0, f64::from(MAX_ZOOM))) as i32;
        let across = f64::from(1_u32 << zoom);
        let size = self.scale / across;
        let mut found = Vec::new();
        let (east, south) = self.corner();
        let range = |from: f64, to: f64| {
            let last = across - 1.0;
            let from = (from * across).floor().clamp(0.0, last);
            let to = (to * across).floor().clamp(0.0, last);
            (whole(from), whole(to))
        };
        let ((left, right), (top, bottom)) = (range(self.west, east), range(self.north, south));
        for y in top..=bottom {
            for x in left..=right {
                if found.len() == MAX_TILES {
                    return found;
                }
                let corner = (f64::from(x) / across, f64::from(y) / across);
                let place = self.at(corner);
                found.push(Tile {
                    href: tiles.at(u8::try_from(zoom).unwrap_or(0), x, y),
                    x: short(place.0),
                    y: short(place.1),
                    // A hair more, so that no line shows between two.
                    size: short(size + 0.5),
                });
            }
        }
        found
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the tiles of a zoom before"
)]
fn whole(number: f64) -> u32 {
    number as u32
}

/// A station, and where it stands in the world as Mercator drew it.
type Placed<'a> = (&'a Arc<Row>, (f64, f64));

/// Stations that are drawn as one.
struct Cluster<'a> {
    rows: Vec<&'a Arc<Row>>,
    /// Where they stand on the whole, on the drawing.
    x: f64,
    y: f64,
    bounds: Bounds,
}

/// Puts together what could not be told apart.
fn clusters<'a>(window: &Window, placed: &[Placed<'a>]) -> Vec<Cluster<'a>> {
    let mut cells: HashMap<(i64, i64), Vec<Placed<'a>>> = HashMap::new();
    for (row, point) in placed {
        let (x, y) = window.at(*point);
        if (0.0..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y) {
            #[expect(clippy::cast_possible_truncation, reason = "within the drawing")]
            let cell = ((x / CELL) as i64, (y / CELL) as i64);
            cells.entry(cell).or_default().push((*row, *point));
        }
    }
    let mut found: Vec<_> = cells
        .into_values()
        .filter_map(|members| Cluster::of(window, &members))
        .collect();
    // The largest first, and always in the same order.
    found.sort_by(|a, b| {
        let order = b.rows.len().cmp(&a.rows.len());
        order.then_with(|| a.rows[0].id.cmp(&b.rows[0].id))
    });
    let mut kept: Vec<Cluster<'a>> = Vec::new();
    for cluster in found {
        let close = |other: &&mut Cluster<'_>| {
            let (x, y) = (other.x - cluster.x, other.y - cluster.y);
            x.hypot(y) < CLOSE
        };
        match kept.iter_mut().find(close) {
            Some(other) => other.take(cluster),
            None => kept.push(cluster),
        }
    }
    kept
}

impl<'a> Cluster<'a> {
    fn of(window: &Window, members: &[Placed<'a>]) -> Option<Self> {
        let bounds = bounds(members.iter().map(|(_, point)| *point))?;
        let mut rows: Vec<_> = members.iter().map(|(row, _)| *row).collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let count = f64::from(u32::try_from(members.len()).unwrap_or(u32::MAX));
        let sum = members.iter().fold((0.0, 0.0), |sum, (_, point)| {
            let (x, y) = window.at(*point);
            (sum.0 + x, sum.1 + y)
        });
        Some(Self {
            rows,
            x: sum.0 / count,
            y: sum.1 / count,
            bounds,
        })
    }

    fn take(&mut self, other: Self) {
        let (a, b) = (self.bounds, other.bounds);
        self.bounds = (a.0.min(b.0), a.1.min(b.1), a.2.max(b.2), a.3.max(b.3));
        self.rows.extend(other.rows);
    }

    fn mark(self, query: &Fields) -> Mark {
        let worst = self.rows.iter().min_by_key(|row| row.rank());
        let trouble = self.rows.iter().filter(|row| row.needs_a_person()).count();
        let count = self.rows.len();
        let first = self.rows[0];
        let path = if count == 1 {
            format!("/console/stations/{}", first.id)
        } else {
            // The same list, a closer look.
            let closer = query.without(&["page"]);
            format!(
                "/console{}#map",
                closer.with("box", Some(&write_box(self.bounds)))
            )
        };
        Mark {
            x: short(self.x),
            y: short(self.y),
            r: match count {
                1 => 12,
                2..10 => 15,
                10..100 => 18,
                _ => 22,
            },
            status: worst.map_or(StationStatus::Unknown, |row| row.status),
            share: (trouble * 100).div_ceil(count),
            count,
            trouble,
            name: first.name.clone(),
            path,
        }
    }
}

/// 1, 2 or 5 with zeros: the next one above.
fn nice(about: f64) -> f64 {
    let ten = 10_f64.powf(about.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * ten);
    steps
        .into_iter()
        .find(|step| *step >= about)
        .unwrap_or(10.0 * ten)
}

fn short(number: f64) -> String {
    format!("{number:.1}")
}

/// An angle with as many decimals as the step between two lines has.
fn angle(lang: Lang, at: f64, step: f64, [positive, negative]: [&str; 2]) -> String {
    let decimals = if step >= 1.0 {
        0
    } else if step >= 0.1 {
        1
    } else if step >= 0.01 {
        2
    } else {
        3
    };
    let side = if at < 0.0 { negative } else { positive };
    let degrees = format!("{:.decimals$}", at.abs());
    let point = lang.decimal_point().to_string();
    format!("{}° {side}", degrees.replace('.', &point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projection_goes_there_and_back() {
        for place in [(0.0, 0.0), (39.47, -0.38), (-33.9, 151.2), (84.0, 179.0)] {
            let (latitude, longitude) = degrees(project(place));
            assert!((latitude - place.0).abs() < 1e-9, "{place:?}");
            assert!((longitude - place.1).abs() < 1e-9, "{place:?}");
        }
    }

    #[test]
    fn everything_is_within_the_window() {
        let places = [(39.4, -0.5), (39.5, -0.3), (39.45, -0.9)];
        let points = places.map(project);
        let window = Window::around(bounds(points.into_iter()).expect("points"));
        for point in points {
            let (x, y) = window.at(point);
            assert!((MARGIN - 0.1..=WIDTH - MARGIN + 0.1).contains(&x), "{x}");
            assert!((MARGIN - 0.1..=HEIGHT - MARGIN + 0.1).contains(&y), "{y}");
        }
        // One point alone has a window too, and one at a pole.
        for place in [(10.0, 10.0), (90.0, 180.0)] {
            let window = Window::around(bounds([project(place)].into_iter()).expect("a point"));
            assert!(window.scale.is_finite() && window.bar().is_some());
            let (meridians, parallels) = window.grid(Lang::En);
            assert!(meridians.len() <= 32 && parallels.len() <= 32);
        }
    }

    #[test]
    fn a_box_is_read_as_it_was_written_and_nonsense_is_not() {
        let bounds = bounds([project((39.4, -0.5)), project((39.5, -0.3))].into_iter());
        let text = write_box(bounds.expect("points"));
        assert_eq!(text, "39.40000,-0.50000,39.50000,-0.30000");
        let read = read_box(&text).expect("a box");
        assert!((read.0 - bounds.expect("points").0).abs() < 1e-9);
        for wrong in ["", "1,2,3", "1,2,3,x", "nan,0,1,1", "2,0,1,1", "0,-999,1,1"] {
            assert_eq!(read_box(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn steps_are_round() {
        for (about, step) in [(0.3, 0.5), (1.1, 2.0), (6.0, 10.0), (0.012, 0.02)] {
            assert!((nice(about) - step).abs() < 1e-9, "{about}");
        }
        assert_eq!(angle(Lang::En, -0.4, 0.1, ["E", "W"]), "0.4° W");
        assert_eq!(angle(Lang::En, 39.46, 0.02, ["N", "S"]), "39.46° N");
        assert_eq!(angle(Lang::Es, -0.4, 0.1, ["E", "O"]), "0,4° O");
    }
}
