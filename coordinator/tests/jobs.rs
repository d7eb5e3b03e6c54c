//! Jobs from submission to their end, over real connections.

// Clippy's own exception does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PARTIES, World, drain, soon, start_job};
use tacit_api::proto::*;
use tacit_api::{seal, sign};
use tonic::Code;

#[tokio::test]
async fn the_recipient_gets_what_the_parties_sealed() {
    let world = World::start().await;
    let mut parties = world.attend_all().await;
    let mut analyst = world.client("analyst").await;
    let signed = world.home.signed("analyst");
    let id = analyst
        .submit(signed.clone())
        .await
        .unwrap()
        .into_inner()
        .job_id;
    assert_eq!(id, sign::job_id(&signed));
    let watch = WatchRequest {
        job_id: id.clone(),
        after: 0,
    };
    let live = analyst.watch(watch.clone()).await.unwrap().into_inner();

    for party in &mut parties {
        let offer = party.offered().await;
        assert_eq!(
            offer.job,
            Some(signed.clone()),
            "parties see the exact bytes that were signed"
        );
        party.accept(&id).await;
    }
    for (party, word) in parties.iter_mut().zip([3, u64::MAX, 40]) {
        party.started().await;
        let loss = world.home.share(party.name, &id, "loss:1", &[word]);
        let progress = Progress {
            job_id: id.clone(),
            epoch: 1,
            epochs: 2,
            loss: Some(loss),
            ..Progress::default()
        };
        party.say(from_party::Kind::Progress(progress)).await;
        let result = world.home.share(party.name, &id, seal::RESULT, &[word, 1]);
        party.finish(&id, result).await;
    }

    let events = drain(live).await;
    assert_eq!(
        events,
        world.watch(&id).await,
        "who watches later sees the same"
    );
    let numbers: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let first_and_last = [&events[0].text, &events.last().unwrap().text];
    assert_eq!(
        first_and_last,
        [
            "analyst submitted trial",
            "done: analyst can fetch the result"
        ]
    );
    let resumed = WatchRequest {
        after: numbers.len() as u64 - 1,
        ..watch
    };
    let resumed = drain(analyst.watch(resumed).await.unwrap().into_inner()).await;
    assert_eq!(resumed, events[events.len() - 1..]);

    let (me, roster) = (&world.home.identities["analyst"], &world.home.roster);
    let compute = PARTIES.map(str::to_owned);
    let losses = events
        .iter()
        .filter_map(|event| event.progress.as_ref()?.loss.clone());
    let losses: Vec<_> = losses.collect();
    assert_eq!(
        seal::reveal(me, roster, &id, &compute, "loss:1", &losses).unwrap(),
        [42]
    );
    let release = analyst
        .fetch(FetchRequest { job_id: id.clone() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(release.job, Some(signed));
    let words = seal::reveal(me, roster, &id, &compute, seal::RESULT, &release.shares).unwrap();
    assert_eq!(words, [42, 3]);

    let mut auditor = world.client("auditor").await;
    let denied = auditor
        .fetch(FetchRequest { job_id: id.clone() })
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let jobs = auditor
        .jobs(JobsRequest {})
        .await
        .unwrap()
        .into_inner()
        .jobs;
    assert_eq!((jobs.len(), jobs[0].state()), (1, JobState::Done));
    assert_eq!(jobs[0].parties, PARTIES);
    world.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_everyone_in_the_partys_words() {
    let world = World::start().await;
    let mut parties = world.attend_all().await;
    let id = world.submit().await;
    for party in &mut parties {
        party.offered().await;
    }
    parties[0].accept(&id).await;
    let reason = "my policy demands at least 500 rows\u{1b}[2J";
    let refusal = Verdict {
        job_id: id.clone(),
        accepted: false,
        reason: reason.into(),
    };
    parties[1].say(from_party::Kind::Verdict(refusal)).await;
    let text = "west refused: my policy demands at least 500 rows [2J";
    for party in &mut parties {
        assert_eq!(party.cancelled().await.reason, text);
    }
    let end = world.watch(&id).await.pop().unwrap();
    assert_eq!(
        (end.state(), end.text.as_str(), end.culprit.as_str()),
        (JobState::Failed, text, "west")
    );
    let mut analyst = world.client("analyst").await;
    let error = analyst
        .fetch(FetchRequest { job_id: id.clone() })
        .await
        .unwrap_err();
    assert_eq!(error.message(), format!("trial failed: {text}"));
    let error = analyst
        .cancel(CancelRequest { job_id: id })
        .await
        .unwrap_err();
    assert_eq!(error.message(), "trial is over already");
}

#[tokio::test]
async fn a_lost_party_is_named_and_the_others_are_called_off() {
    let world = World::start().await;
    let mut parties = world.attend_all().await;
    let id = start_job(&world, &mut parties).await;
    let [mut north, mut west, south] = parties;
    drop(south);
    for party in [&mut north, &mut west] {
        assert!(party.cancelled().await.reason.starts_with("lost south: "));
    }
    let end = world.watch(&id).await.pop().unwrap();
    assert_eq!(
        (end.state(), end.culprit.as_str()),
        (JobState::Failed, "south")
    );
    // South may come back, and the next job runs.
    let mut parties = [north, west, world.attend("south").await.unwrap()];
    start_job(&world, &mut parties).await;
}

#[tokio::test]
async fn a_report_of_failure_names_the_culprit() {
    let world = World::start().await;
    let mut parties = world.attend_all().await;
    let id = start_job(&world, &mut parties).await;
    for (reporter, culprit, reason) in [
        (0, "west", "west closed the link"),
        (1, "", "line 3, column age: not a number"),
    ] {
        let failed = Failed {
            job_id: id.clone(),
            culprit: culprit.into(),
            reason: reason.into(),
            cheating: None,
        };
        parties[reporter]
            .say(from_party::Kind::Failed(failed))
            .await;
    }
    let reason = parties[2].cancelled().await.reason;
    assert_eq!(reason, "west failed: line 3, column age: not a number");
    assert_eq!(world.watch(&id).await.pop().unwrap().culprit, "west");
}

#[tokio::test]
async fn a_share_that_its_party_did_not_sign_costs_it_its_stream() {
    let world = World::start().await;
    let mut parties = world.attend_all().await;
    let id = start_job(&world, &mut parties).await;
    let stolen = world.home.share("north", &id, seal::RESULT, &[1]);
    parties[1].finish(&id, stolen).await;
    let error = parties[1].hear().await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("west broke a rule: it sent a share \"result\""),
        "{error}"
    );
    assert!(
        parties[0]
            .cancelled()
            .await
            .reason
            .starts_with("lost west: it sent a share")
    );
    assert_eq!(world.watch(&id).await.pop().unwrap().culprit, "west");
}

#[tokio::test]
async fn jobs_wait_for_absent_parties_and_for_each_other() {
    let world = World::start().await;
    let first = world.submit().await;
    let second = world.submit().await;
    let mut parties = world.attend_all().await;
    for party in &mut parties {
        assert_eq!(party.offered().await.job_id, first);
    }
    let cancel = CancelRequest {
        job_id: first.clone(),
    };
    let denied = world
        .client("auditor")
        .await
        .cancel(cancel.clone())
        .await
        .unwrap_err();
    assert_eq!(
        denied.message(),
        "only analyst, who submitted trial, can cancel it"
    );
    world.client("analyst").await.cancel(cancel).await.unwrap();
    for party in &mut parties {
        assert_eq!(party.cancelled().await.reason, "analyst cancelled it");
        assert_eq!(party.offered().await.job_id, second);
    }
    assert_eq!(
        world.watch(&first).await.pop().unwrap().state(),
        JobState::Cancelled
    );
}

#[tokio::test]
async fn an_absent_party_is_named_when_the_deadline_passes() {
    let world = World::start_with(|config| {
        config.deadlines.attend = std::time::Duration::from_millis(200);
    })
    .await;
    let _north = world.attend("north").await.unwrap();
    let id = world.submit().await;
    let end = soon(world.watch(&id)).await.pop().unwrap();
    assert_eq!(end.text, "west and south did not attend within 0.2 s");
    assert_eq!(end.culprit, "west");
}

#[tokio::test]
async fn only_sound_jobs_of_the_caller_are_taken() {
    let world = World::start_with(|config| config.max_open_jobs = 1).await;
    let home = &world.home;
    let mut analyst = world.client("analyst").await;
    let mut refusal = async |job: SignedJob| analyst.submit(job).await.unwrap_err();

    let foreign = refusal(home.signed("auditor")).await;
    assert!(
        foreign.message().contains("somebody else signed"),
        "{foreign}"
    );
    let mut changed = home.signed("analyst");
    changed.toml.push(b'\n');
    assert!(
        refusal(changed)
            .await
            .message()
            .contains("does not fit the job")
    );
    for (from, to, expected) in [
        (
            "\"west\"",
            "\"east\"",
            "the job names east, which is not a party of trial",
        ),
        (
            "\"west\"",
            "\"auditor\"",
            "the job names auditor, which is not a party of trial",
        ),
        (
            "\"analyst\"",
            "\"nobody\"",
            "nobody is not a member of trial",
        ),
        ("epochs = 2", "epochs = 0", "training.epochs"),
        ("kind = \"train\"", "kind = \"steal\"", "line 3, column 8"),
    ] {
        let text = common::JOB.replace(from, to);
        let job = sign::sign_job(&home.identities["analyst"], &home.roster, &text, None).unwrap();
        let error = refusal(job).await;
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains(expected), "{error}");
    }
    let job = home.signed("analyst");
    world
        .client("analyst")
        .await
        .submit(job.clone())
        .await
        .unwrap();
    let full = refusal(home.signed("analyst")).await;
    assert!(full.message().contains("1 jobs are open already"), "{full}");

    let cancel = CancelRequest {
        job_id: sign::job_id(&job),
    };
    world.client("analyst").await.cancel(cancel).await.unwrap();
    assert_eq!(refusal(job).await.code(), Code::AlreadyExists);
    let unknown = WatchRequest {
        job_id: "no such job".into(),
        after: 0,
    };
    let error = world
        .client("analyst")
        .await
        .watch(unknown)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn a_result_of_a_million_parameters_passes() {
    let world = World::start().await;
    let mut parties = world.attend_all().await;
    let id = start_job(&world, &mut parties).await;
    let words = vec![7; 1_000_000];
    for party in &parties {
        let share = world.home.share(party.name, &id, seal::RESULT, &words);
        party.finish(&id, share).await;
    }
    assert_eq!(
        world.watch(&id).await.pop().unwrap().state(),
        JobState::Done
    );
    let mut analyst = world.client("analyst").await;
    let release = analyst
        .fetch(FetchRequest { job_id: id.clone() })
        .await
        .unwrap()
        .into_inner();
    let (me, roster) = (&world.home.identities["analyst"], &world.home.roster);
    let compute = PARTIES.map(str::to_owned);
    let sum = seal::reveal(me, roster, &id, &compute, seal::RESULT, &release.shares).unwrap();
    assert_eq!(sum, vec![21; 1_000_000]);
}
