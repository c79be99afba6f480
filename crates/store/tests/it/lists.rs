//! Lists: filters, searches, pages, totals.

use domain::{ConnectorStatus, Counts, StationStatus};
use store::{MAX_PAGE, StationFilter, Store};

use crate::support::Database;
use crate::support::things::{NODE, at, enter, entering, id, named_station, reported};

both!(
    searches_take_every_character_literally,
    pages_follow_each_other,
    stations_are_found_by_status,
    totals_count_everything,
);

async fn find(store: &Store, search: &str) -> Vec<String> {
    let filter = StationFilter {
        search: Some(search.to_owned()),
        ..StationFilter::default()
    };
    let found = store.stations(&filter, 50).await.unwrap();
    found
        .into_iter()
        .map(|station| station.id.to_string())
        .collect()
}

async fn searches_take_every_character_literally(database: Database) {
    let store = database.open().await;
    for (id, name) in [
        ("A", "100% solar"),
        ("B", "under_score"),
        ("C", "Achtung!"),
        ("D", "O'Higgins"),
        ("E", "Estación Ñuñoa"),
        ("F", "ΟΔΟΣΑ"),
        ("G", "back\\slash"),
        ("H", "日本 充電"),
        ("aBcD", "plain"),
    ] {
        store
            .commit(entering(named_station(id, name)))
            .await
            .unwrap();
    }
    let located = named_station("L", "placed").station.update(
        None,
        Some(Some(domain::station::Location {
            latitude: 1.0,
            longitude: 2.0,
            address: Some("Calle Larga 5".to_owned()),
        })),
        at(1),
    );
    store.commit(entering(located)).await.unwrap();
    for (search, expected) in [
        ("%", vec!["A"]),
        ("_", vec!["B"]),
        ("!", vec!["C"]),
        ("'", vec!["D"]),
        ("o'h", vec!["D"]),
        ("ÑUÑ", vec!["E"]),
        ("estación ñ", vec!["E"]),
        ("ΟΔΟΣ", vec!["F"]),
        ("\\", vec!["G"]),
        ("充", vec!["H"]),
        ("ABCD", vec!["aBcD"]),
        ("larga", vec!["L"]),
        ("100%", vec!["A"]),
        ("1%0", vec![]),
        ("u%e", vec![]),
        ("'; --", vec![]),
    ] {
        assert_eq!(find(&store, search).await, expected, "{search}");
    }
    assert_eq!(find(&store, "").await.len(), 10);
}

async fn pages_follow_each_other(database: Database) {
    let store = database.open().await;
    // In the order of their bytes, whatever language the database speaks.
    let ids = [
        "+1", "-1", "10", "2", "=", "@", "CP-10", "CP-2", "CP_1", "a", "aB", "b", "|",
    ];
    let mut entered = ids;
    entered.reverse();
    enter(&store, &entered).await;
    let mut sorted: Vec<String> = ids.iter().map(ToString::to_string).collect();
    sorted.sort();

    let mut seen: Vec<String> = Vec::new();
    let mut filter = StationFilter::default();
    loop {
        let page = store.stations(&filter, 5).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id.clone());
        seen.extend(page.iter().map(|station| station.id.to_string()));
        // Somebody who comes in before the cursor moves nothing.
        if seen.len() == 5 {
            enter(&store, &["*"]).await;
        }
    }
    assert_eq!(seen, sorted);

    let all = StationFilter::default();
    assert_eq!(store.stations(&all, 0).await.unwrap(), []);
    assert_eq!(
        store.stations(&all, u32::MAX).await.unwrap().len(),
        ids.len() + 1
    );
    assert_eq!(MAX_PAGE, 500);
}

async fn stations_are_found_by_status(database: Database) {
    let store = database.open().await;
    let stations = enter(&store, &["A", "B", "C"]).await;
    for (station, status) in stations.into_iter().zip([
        ConnectorStatus::Available,
        ConnectorStatus::Charging,
        ConnectorStatus::Available,
    ]) {
        store.commit(reported(station, status, 1).1).await.unwrap();
    }
    let ids = async |status, after: Option<&str>, search: Option<&str>| {
        let filter = StationFilter {
            status: Some(status),
            after: after.map(id),
            search: search.map(ToOwned::to_owned),
        };
        let found = store.stations(&filter, 10).await.unwrap();
        found
            .iter()
            .map(|station| station.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(StationStatus::Available, None, None).await, ["A", "C"]);
    assert_eq!(ids(StationStatus::Available, Some("A"), None).await, ["C"]);
    assert_eq!(ids(StationStatus::Available, None, Some("a")).await, ["A"]);
    assert_eq!(ids(StationStatus::Occupied, None, None).await, ["B"]);
    assert!(ids(StationStatus::Faulted, None, None).await.is_empty());
}

async fn totals_count_everything(database: Database) {
    let store = database.open().await;
    assert_eq!(
        store.station_totals().await.unwrap(),
        store::StationTotals::default()
    );
    let stations = enter(&store, &["A", "B", "C", "D"]).await;
    for (station, status) in stations.into_iter().take(3).zip([
        ConnectorStatus::Available,
        ConnectorStatus::Charging,
        ConnectorStatus::Faulted,
    ]) {
        let expected = station.version;
        let connected = station.connected("ocpp1.6", NODE, at(1)).station;
        let (station, mut commit) = reported(connected, status, 1);
        commit.station = Some(store::StationWrite::Update { station, expected });
        store.commit(commit).await.unwrap();
    }
    let mut totals = store.station_totals().await.unwrap();
    totals.stations.sort();
    assert_eq!(
        totals.stations,
        [
            (StationStatus::Available, 1),
            (StationStatus::Occupied, 1),
            (StationStatus::Faulted, 1),
            (StationStatus::Unknown, 1),
        ]
    );
    assert_eq!(totals.online, 3);
    let expected = Counts {
        available: 1,
        occupied: 1,
        faulted: 1,
        unknown: 1,
        ..Counts::default()
    };
    assert_eq!(totals.connectors, expected);
}
