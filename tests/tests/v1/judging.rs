//! How shares are judged, and how difficulty governs them.
//!
//! `judging_N` counts what the specification says about judging: 1 the target belongs to the job, 2 a change of difficulty
//! sends no job, 3 the block check comes first, 4 duplicates are numbers, 5 the bounds of ntime, 6 no two jobs of a
//! connection are alike.

use std::collections::HashSet;
use std::time::Duration;
use warppool_components::template::Template;
use warppool_components::units::{Difficulty, Target, UnixTime};
use warppool_tests::pool::{Pool, Verdict, authorize};
use warppool_tests::work::{EASY_BITS, address, with_bits};

fn refused(code: u64, text: &str) -> Verdict {
    Err((code, text.to_owned()))
}

/// Rule 24: every cause has its code and its own text.
#[test]
fn rule_24_one_code_and_one_text_for_each_cause() {
    let user = address(1);
    let mut pool = Pool::default().with_work();
    let mut texts = HashSet::new();
    let mut said = |verdict: Verdict, expected: u64| {
        let (code, text) = verdict.expect_err("refused");
        assert_eq!(code, expected, "{text}");
        assert!(texts.insert(text.clone()), "{text} is said about two causes");
    };
    let stranger = pool.connect();
    let line = |user: &str| {
        format!(
            r#"{{"id":4,"method":"mining.submit","params":["{user}","1","0000000000000000","6b49d200","00000000"]}}"#
        )
    };
    said(pool.verdict(stranger, 4, &line(&user)), 24);
    pool.send(stranger, &[&authorize(2, &user, "x")]);
    pool.take(stranger);
    said(pool.verdict(stranger, 4, &line(&user)), 25);

    let conn = pool.join_rolling(&user, "d=1e-9");
    let old = pool.miner(conn).search().extranonce2(99).hit();
    pool.new_tip();
    let ntime = pool.miner(conn).job().ntime;
    let search = |pool: &Pool, ntime: u32| pool.miner(conn).search().ntime(ntime).hit();
    let share = search(&pool, ntime + 1);
    said(pool.verdict(conn, 4, &line(&user).replace("\"1\"", "\"7fff\"")), 21);
    said(pool.submit(conn, &user, &old), 21);
    let miss = pool.miner(conn).search().miss();
    said(pool.submit(conn, &user, &miss), 23);
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
    said(pool.submit(conn, &user, &share), 22);
    let share = search(&pool, ntime - 1);
    said(pool.submit(conn, &user, &share), 20);
    let share = search(&pool, ntime + 7001);
    said(pool.submit(conn, &user, &share), 20);
    let share = pool.miner(conn).search().version_bits(1).hit();
    said(pool.submit(conn, &user, &share), 20);
    said(pool.verdict(conn, 4, &line(&user).replace("0000000000000000", "00")), 20);
    said(pool.verdict(conn, 4, &line(&user).replace("0000000000000000", &"0".repeat(18))), 20);
    said(pool.verdict(conn, 4, &line(&user).replace("6b49d200", "later")), 20);
    said(pool.verdict(conn, 4, &format!(r#"{{"id":4,"method":"mining.submit","params":["{user}"]}}"#)), 20);
    assert_eq!(texts.len(), 13);
}

/// Defect 23: the bounds of ntime, exactly.
#[test]
fn judging_5_and_defect_23_ntime_is_good_from_the_jobs_time_to_7000_seconds_ahead() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "d=1e-10");
    pool.advance(Duration::from_secs(10));
    let (job, now) = (pool.miner(conn).job().ntime, pool.now().unix.header_seconds());
    assert_eq!(now, job + 10);
    for (ntime, verdict) in [
        (job - 1, refused(20, "ntime is older than the job")),
        (job, Ok(())),
        (now + 7000, Ok(())),
        (now + 7001, refused(20, "ntime is too far in the future")),
        (u32::MAX, refused(20, "ntime is too far in the future")),
        (0, refused(20, "ntime is older than the job")),
    ] {
        let share = pool.miner(conn).search().ntime(ntime).hit();
        assert_eq!(pool.submit(conn, &user, &share), verdict, "{ntime}");
    }
}

/// Nodes refuse blocks by their own clock, so a pool whose clock is wrong must not put its own into headers.
#[test]
fn a_wrong_clock_of_the_pool_neither_dates_headers_nor_refuses_shares() {
    let day = 86_400;
    for (hours_ahead, name) in [(-24_i64, "behind"), (24, "ahead")] {
        let mut pool = Pool::default();
        let next = pool.next_tip();
        let node_seconds = next.current_time.seconds().saturating_add_signed(-hours_ahead * 3600);
        let current_time = UnixTime::from_seconds(node_seconds);
        let min_time = UnixTime::from_seconds(node_seconds - day);
        pool.template(Template { current_time, min_time, ..next });
        let user = address(1);
        let conn = pool.join(&user, "d=1e-10");
        pool.advance(Duration::from_secs(30));
        assert_eq!(u64::from(pool.miner(conn).job().ntime), node_seconds + 30, "{name}");
        let share = pool.miner(conn).search().hit();
        assert_eq!(pool.submit(conn, &user, &share), Ok(()), "{name}");
    }
}

/// Found by the judge of blocks: a node's clock was hours ahead in one template, and every later job on the tip kept that time,
/// so that no node would have taken a block.
#[test]
fn a_wrong_clock_of_a_node_is_not_kept_for_the_rest_of_the_tip() {
    let mut pool = Pool::default();
    let (bare, full) = (pool.next_bare_tip(), pool.next_template());
    let right = bare.current_time;
    let conn = pool.join(&address(1), "d=1e-10");
    pool.template(Template { current_time: UnixTime::from_seconds(right.seconds() + 3 * 3600), ..bare });
    pool.template(Template { current_time: right, ..full });
    let ntime = u64::from(pool.miner(conn).job().ntime);
    assert!(ntime < right.seconds() + 60, "{ntime} is hours ahead");
}

/// Defect 5: the difficulty is raised while the miner works.
#[test]
fn judging_1_and_defect_05_a_share_is_judged_at_the_difficulty_of_its_job() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "x");
    let old = pool.miner(conn).job().difficulty;
    let shares = pool.miner(conn).search().hits(200);
    for share in &shares[..8] {
        pool.advance(Duration::from_millis(10));
        pool.submit(conn, &user, share).expect("good");
    }
    let lines = pool.take(conn);
    assert!(lines.len() == 1 && lines[0].contains("set_difficulty"), "the new difficulty, and no job: {lines:?}");
    let told = pool.miner(conn).difficulty.expect("told");
    assert!(told > 8.0 * old, "{told}");
    // The miner goes on as before until the next job: most of its shares miss what it was told for that job.
    let mut submitted = 8;
    while pool.miner(conn).jobs.len() == 1 {
        assert_eq!(pool.submit(conn, &user, &shares[submitted]), Ok(()));
        submitted += 1;
        pool.advance(Duration::from_millis(200));
    }
    assert!(shares[8..submitted].iter().filter(|share| share.reached < told).count() > 50);
    let raised = pool.miner(conn).job().difficulty;
    assert!(raised > 8.0 * old, "it governs the next job: {raised}");
    let late = pool.miner(conn).search_job(&shares[0].job).extranonce2(77).hit();
    assert_eq!(pool.submit(conn, &user, &late), Ok(()), "the old job keeps its difficulty after the new one");
    let miss = pool.miner(conn).search().first(|reached| reached > 1.01 * old && reached < raised);
    assert_eq!(pool.submit(conn, &user, &miss), refused(23, "Low difficulty share"));
    let hit = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &user, &hit), Ok(()));
    pool.advance(Duration::from_secs(1));
    let credits: Vec<f64> = pool.shares.iter().filter(|row| row.reject.is_none()).map(|row| row.difficulty).collect();
    let mut expected = vec![old; submitted + 1];
    expected.push(raised);
    assert_eq!(credits, expected);
}

/// A raise that waits for its job is not taken back, whether the miner obeys it at once or with the job.
#[test]
fn a_miner_that_speeds_up_before_the_next_job_is_not_eased() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "x");
    let shares = pool.miner(conn).search().hits(700);
    let mut told = Vec::new();
    let mut submitted = 0;
    while pool.miner(conn).jobs.len() == 1 {
        pool.advance(Duration::from_millis(if submitted < 8 { 200 } else { 50 }));
        assert_eq!(pool.submit(conn, &user, &shares[submitted]), Ok(()));
        submitted += 1;
        told.extend(pool.miner(conn).difficulty.filter(|new| told.last() != Some(new)));
    }
    assert!(told.len() >= 2 && told.is_sorted(), "the start and a raise: {told:?}");
}

/// Defect 6: a miner that is too slow for its start.
#[test]
fn defect_06_a_silent_miner_is_eased() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join_as("bitaxe/BM1370", &address(1), "x");
    let start = pool.miner(conn).job().difficulty;
    pool.advance(Duration::from_secs(31));
    let lines = pool.take(conn);
    let eased = pool.miner(conn).job().difficulty;
    assert!(eased < start && eased >= start / 16.0, "three intervals later: {start} to {eased}");
    let place = lines.iter().position(|line| line.contains("set_difficulty")).expect("told");
    assert!(lines[place + 1].contains("mining.notify") && !lines[place + 1].contains("true]"), "with a job: {lines:?}");
    pool.advance(Duration::from_secs(600));
    let difficulties: Vec<f64> = pool.miner(conn).jobs.iter().map(|job| job.difficulty).collect();
    assert!(difficulties.windows(2).all(|two| two[1] <= two[0] && two[1] > 0.999 * two[0] / 16.0), "{difficulties:?}");
    assert!(*difficulties.last().expect("many") <= 1024.0 / 16f64.powi(4), "{difficulties:?}");
}

/// A retarget never sends a job of its own, least of all a clean one.
#[test]
fn judging_2_a_retarget_sends_no_job() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "x");
    for second in 0..120 {
        pool.advance(Duration::from_secs(1));
        for number in 0..4 {
            let share = pool.miner(conn).search().extranonce2(second * 4 + number).hit();
            pool.submit(conn, &user, &share).expect("good");
        }
    }
    let lines = pool.take(conn);
    let notifies = lines.iter().filter(|line| line.contains("mining.notify")).count();
    assert_eq!(notifies, 4, "one each 30 seconds: {lines:?}");
    assert!(lines.iter().any(|line| line.contains("set_difficulty")));
    assert!(pool.miner(conn).jobs[1..].iter().all(|job| !job.clean));
    let told: Vec<f64> = pool.miner(conn).jobs.iter().map(|job| job.difficulty).collect();
    assert!(told.last() > told.first(), "{told:?}");
}

/// A block counts whatever else is wrong with its share.
#[test]
fn judging_3_the_block_check_comes_before_all_others() {
    let mut pool = Pool::default();
    let template = pool.next_tip();
    pool.template(with_bits(template, EASY_BITS));
    let user = address(1);
    let conn = pool.join_rolling(&user, "d=1e-6");
    let block = 2.2 * 2f64.powi(-32);
    let is_block = move |reached: f64| reached > block && reached < 0.9e-6;
    let search = |pool: &Pool, number| {
        let ntime = pool.miner(conn).job().ntime;
        let search = pool.miner(conn).search().extranonce2(number);
        match number {
            0 => search.first(is_block),
            1 => search.ntime(ntime - 1).first(is_block),
            2 => search.ntime(ntime + 7100).first(is_block),
            _ => search.version_bits(2).first(is_block),
        }
    };
    let causes = [
        refused(23, "Low difficulty share"),
        refused(20, "ntime is older than the job"),
        refused(20, "ntime is too far in the future"),
        refused(20, "Version bits outside the mask"),
    ];
    for (number, cause) in causes.into_iter().enumerate() {
        let share = search(&pool, number as u64);
        assert_eq!(pool.submit(conn, &user, &share), cause);
        assert_eq!(pool.blocks.len(), number + 1, "{cause:?}");
        assert_eq!(pool.blocks[number].hash.to_string(), share.hash);
        assert_eq!(pool.submit(conn, &user, &share), cause, "again");
        assert_eq!(pool.blocks.len(), number + 1, "the same block is submitted once");
    }
    let worst = pool.miner(conn).search().extranonce2(50).first(|reached| reached < 1.9 * 2f64.powi(-32));
    assert_eq!(pool.submit(conn, &user, &worst), refused(23, "Low difficulty share"));
    assert_eq!(pool.blocks.len(), 4, "no block");
}

/// Duplicates are equal work, not equal text.
#[test]
fn judging_4_duplicates_are_told_by_their_numbers() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join_rolling(&user, "d=1e-10");
    let share = pool.miner(conn).search().extranonce2(0xabcd).version_bits(0x00c0_e000).hit();
    let line = share.line(4, &user);
    assert_eq!(pool.verdict(conn, 4, &line), Ok(()));
    let duplicate = refused(22, "Duplicate share");
    let (nonce, ntime) = (format!("{:08x}", share.nonce), format!("{:08x}", share.ntime));
    for same in [
        line.clone(),
        line.replace("00c0e000", "0x00C0E000"),
        line.replace("00c0e000", "c0e000"),
        line.replace("00c0e000", "20c0e000"),
        line.replace("000000000000abcd", "000000000000ABCD"),
        line.replace(&format!("\"{nonce}\""), &format!("\"{:x}\"", share.nonce)),
        line.replace(&ntime, &ntime.to_uppercase()),
        line.replace(&user, &format!("{user}.other")),
        line.replace("\"id\":4,", "").replace("]}", "],\"id\":4}"),
    ] {
        assert_eq!(pool.verdict(conn, 4, &same), duplicate, "{same}");
    }
    // Another version is other work.
    let other = pool.miner(conn).search().extranonce2(0xabcd).version_bits(0x0080_e000);
    let other = (0..).map(|nonce| other.share(nonce)).find(|it| it.reached > 1.1e-10).expect("one");
    assert_eq!(pool.submit(conn, &user, &other), Ok(()));
    // The second of two in one segment as well.
    let share = pool.miner(conn).search().extranonce2(5).hit();
    pool.send(conn, &[&share.line(1, &user), &share.line(2, &user)]);
    let lines = pool.take(conn);
    assert!(lines[0].contains("true") && lines[1].contains("[22,"), "{lines:?}");
}

/// Every verdict of a flood in one tick is right, in order, and adds up.
#[test]
fn a_batch_is_judged_like_single_shares() {
    let mut pool = Pool::default().with_work();
    let conns: Vec<_> = (1..=4).map(|number| pool.join(&address(number), "d=1e-9")).collect();
    let mut expected = Vec::new();
    for (index, conn) in conns.iter().enumerate() {
        for nonce in 0..100 {
            let share = pool.miner(*conn).search().extranonce2(nonce / 10).share(nonce as u32 % 10);
            if (share.reached / 1e-9 - 1.0).abs() < 0.001 {
                continue;
            }
            let line = share.line(nonce, &address(index as u8 + 1));
            expected.push((*conn, nonce, share.reached >= 1e-9));
            pool.push_line(*conn, &line);
        }
    }
    pool.tick();
    let answers: Vec<_> = conns.iter().flat_map(|conn| pool.take(*conn)).collect();
    assert_eq!(answers.len(), expected.len());
    for ((_, id, good), answer) in expected.iter().zip(&answers) {
        let start = format!("{{\"id\":{id},\"result\":{}", if *good { "true" } else { "null,\"error\":[23," });
        assert!(answer.starts_with(&start), "{answer} is not {start}");
    }
    pool.advance(Duration::from_secs(1));
    let good = expected.iter().filter(|(.., good)| *good).count() as u64;
    assert!(good > 50);
    let totals = &pool.snapshot.as_ref().expect("published").pool;
    assert_eq!((totals.accepted, totals.rejected.iter().sum()), (good, expected.len() as u64 - good));
    let credited = Difficulty::new(1e-9).expect("valid").value() * good as f64;
    assert!((totals.accepted_difficulty / credited - 1.0).abs() < 1e-9);
}

/// Rule 16: every verdict is that of two integers, hash and target; `Target` is tested at its very edge with the
/// components, and by the network's target in `blocks`.
#[test]
fn rule_16_a_share_is_good_when_its_hash_is_at_or_under_the_target() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    for pin in ["d=1e-9", "d=3.7e-10", "d=2.4e-9"] {
        let conn = pool.join(&user, pin);
        let target = Target::from_difficulty(Difficulty::new(pool.miner(conn).job().difficulty).expect("positive"));
        let mut goods = 0;
        for nonce in 0..200 {
            let share = pool.miner(conn).search().share(nonce);
            // Digits of equal length compare like the numbers.
            let is_met = share.hash <= target.to_string();
            let expected = if is_met { Ok(()) } else { refused(23, "Low difficulty share") };
            assert_eq!(pool.submit(conn, &user, &share), expected, "{} against {target}", share.hash);
            goods += usize::from(is_met);
        }
        assert!((10..190).contains(&goods), "both sides are seen: {goods}");
    }
}
