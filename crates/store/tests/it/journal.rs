//! The field journal.

use domain::{Analysis, AnalysisId, Entry, EntryId, EntryText, Sentiment};
use store::{Commit, EntryFilter, EntryPlace, JournalWrite, StoreError};
use uuid::Uuid;

use crate::support::Database;
use crate::support::things::{at, id, note};

both!(
    an_entry_is_written_changed_and_removed,
    entries_are_listed_newest_first,
    entries_of_a_station_are_listed,
    what_was_read_out_of_an_entry_is_kept_with_it,
    the_journal_is_cleared,
    tokens_are_added_up_by_day,
);

fn entry(number: u128, seconds: i64) -> Entry {
    let text = |text: &str| EntryText::new(text).unwrap();
    Entry {
        id: EntryId(Uuid::from_u128(number)),
        work: text("Changed a fuse"),
        struggle: text("\"ñ\" 🔌"),
        intention: text("Watch it"),
        station_id: (number.is_multiple_of(2)).then(|| id("CP-1")),
        version: 1,
        created_at: at(seconds),
        updated_at: at(seconds),
    }
}

fn analysis(number: u128, entry: &Entry, model: &str) -> Analysis {
    Analysis {
        id: AnalysisId(Uuid::from_u128(number)),
        entry_id: entry.id,
        entry_version: entry.version,
        sentiment: Sentiment::Neutral,
        summary: "One. Two.".to_owned(),
        topics: vec!["fuse".to_owned(), "box".to_owned()],
        model: model.to_owned(),
        created_at: at(9),
    }
}

fn writing(write: JournalWrite) -> Commit {
    Commit {
        journal: Some(write),
        events: vec![note("journal")],
        ..Commit::default()
    }
}

fn conflicts(result: &Result<store::Committed, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}

async fn an_entry_is_written_changed_and_removed(database: Database) {
    let store = database.open().await;
    let first = entry(1, 0);
    let insert = || writing(JournalWrite::Insert(first.clone()));
    store.commit(insert()).await.unwrap();
    assert!(conflicts(&store.commit(insert()).await));
    assert_eq!(store.entry(first.id).await.unwrap(), Some(first.clone()));

    let mut changed = first.clone();
    changed.version = 2;
    changed.station_id = Some(id("CP-9"));
    let update = || {
        writing(JournalWrite::Update {
            entry: changed.clone(),
            expected: 1,
        })
    };
    store.commit(update()).await.unwrap();
    assert!(conflicts(&store.commit(update()).await));
    assert_eq!(store.entry(first.id).await.unwrap(), Some(changed));

    let remove = |expected| {
        let id = first.id;
        writing(JournalWrite::Delete { id, expected })
    };
    assert!(conflicts(&store.commit(remove(1)).await));
    store.commit(remove(2)).await.unwrap();
    assert!(conflicts(&store.commit(remove(2)).await));
    assert_eq!(store.entry(first.id).await.unwrap(), None);
    // What was refused left no event.
    assert_eq!(store.last_seq().await.unwrap(), 3);
}

async fn entries_are_listed_newest_first(database: Database) {
    let store = database.open().await;
    // Two of the same moment: the higher id is taken for the newer.
    let all = [
        entry(5, 30),
        entry(9, 20),
        entry(2, 20),
        entry(1, 20),
        entry(7, -40),
    ];
    for entry in [2, 4, 0, 3, 1].map(|place: usize| all[place].clone()) {
        let insert = writing(JournalWrite::Insert(entry));
        store.commit(insert).await.unwrap();
    }
    for limit in 1..=6 {
        let (mut filter, mut listed) = (EntryFilter::default(), Vec::new());
        loop {
            let page = store.entries(&filter, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.before = Some(EntryPlace::of(last));
            listed.extend(page);
        }
        assert_eq!(listed, all, "in pages of {limit}");
    }
}

async fn entries_of_a_station_are_listed(database: Database) {
    let store = database.open().await;
    for number in 1..=4 {
        let insert = writing(JournalWrite::Insert(entry(number, 10)));
        store.commit(insert).await.unwrap();
    }
    let mut filter = EntryFilter {
        station_id: Some(id("CP-1")),
        before: None,
    };
    let listed = store.entries(&filter, 9).await.unwrap();
    assert_eq!(listed, [entry(4, 10), entry(2, 10)]);
    filter.before = Some(EntryPlace::of(&listed[0]));
    assert_eq!(store.entries(&filter, 9).await.unwrap(), [entry(2, 10)]);
    filter.station_id = Some(id("CP-2"));
    assert_eq!(store.entries(&filter, 9).await.unwrap(), []);
}

async fn what_was_read_out_of_an_entry_is_kept_with_it(database: Database) {
    let store = database.open().await;
    let (first, other) = (entry(1, 0), entry(2, 0));
    for entry in [&first, &other] {
        let insert = writing(JournalWrite::Insert(entry.clone()));
        store.commit(insert).await.unwrap();
    }
    let keep = async |analysis: &Analysis, drop: &[AnalysisId]| {
        let (analysis, drop) = (analysis.clone(), drop.to_vec());
        let write = JournalWrite::Analysis { analysis, drop };
        store.commit(writing(write)).await
    };
    let [one, two, three] = [(1, "a"), (2, "b"), (3, "a")].map(|(n, m)| analysis(n, &first, m));
    let foreign = analysis(4, &other, "a");
    for analysis in [&one, &two, &three, &foreign] {
        keep(analysis, &[]).await.unwrap();
    }
    let list = async |before, limit| store.analyses(first.id, before, limit).await.unwrap();
    assert_eq!(
        list(None, 9).await,
        [three.clone(), two.clone(), one.clone()]
    );
    assert_eq!(list(Some(three.id), 1).await, std::slice::from_ref(&two));
    let latest = async |model| store.latest_analysis(&first, model).await.unwrap();
    assert_eq!(latest("a").await, Some(three.clone()));
    assert_eq!(latest("c").await, None);
    assert_eq!(store.analysis(two.id).await.unwrap(), Some(two.clone()));

    // An older one makes room.
    keep(&analysis(5, &first, "b"), &[one.id, two.id])
        .await
        .unwrap();
    assert_eq!(
        list(None, 9).await,
        [analysis(5, &first, "b"), three.clone()]
    );

    // What was read of a text that is no longer so is not kept.
    let mut changed = first.clone();
    changed.version = 2;
    let update = JournalWrite::Update {
        entry: changed.clone(),
        expected: 1,
    };
    store.commit(writing(update)).await.unwrap();
    assert!(conflicts(&keep(&analysis(6, &first, "a"), &[]).await));
    assert_eq!(store.latest_analysis(&changed, "a").await.unwrap(), None);
    keep(&analysis(7, &changed, "a"), &[]).await.unwrap();

    // With the entry it goes, and it does not come after it.
    let (id, expected) = (first.id, 2);
    store
        .commit(writing(JournalWrite::Delete { id, expected }))
        .await
        .unwrap();
    assert_eq!(list(None, 9).await, []);
    assert!(conflicts(&keep(&analysis(8, &changed, "a"), &[]).await));
    assert_eq!(store.analysis(foreign.id).await.unwrap(), Some(foreign));
}

async fn the_journal_is_cleared(database: Database) {
    let store = database.open().await;
    let clear = async || store.commit(writing(JournalWrite::Clear)).await.unwrap();
    clear().await;
    for number in 1..=3 {
        let entry = entry(number, 0);
        let read = analysis(number, &entry, "a");
        let insert = writing(JournalWrite::Insert(entry));
        store.commit(insert).await.unwrap();
        let (analysis, drop) = (read, Vec::new());
        let write = JournalWrite::Analysis { analysis, drop };
        store.commit(writing(write)).await.unwrap();
    }
    clear().await;
    let filter = EntryFilter::default();
    assert_eq!(store.entries(&filter, 9).await.unwrap(), []);
    let left = store.analysis(AnalysisId(Uuid::from_u128(1))).await;
    assert_eq!(left.unwrap(), None);
}

async fn tokens_are_added_up_by_day(database: Database) {
    let store = database.open().await;
    let (today, tomorrow) = (at(0), at(86_400));
    assert_eq!(store.tokens_spent(today).await.unwrap(), 0);
    let spending: Vec<_> = (1..=40)
        .map(|tokens| {
            let store = store.clone();
            let commit = Commit {
                tokens_spent: Some((today, tokens)),
                ..Commit::default()
            };
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    for one in spending {
        one.await.unwrap().unwrap();
    }
    let commit = Commit {
        tokens_spent: Some((tomorrow, 7)),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
    assert_eq!(store.tokens_spent(today).await.unwrap(), 820);
    assert_eq!(store.tokens_spent(tomorrow).await.unwrap(), 7);
    // Another node counts on.
    assert_eq!(
        database.open().await.tokens_spent(today).await.unwrap(),
        820
    );
}
