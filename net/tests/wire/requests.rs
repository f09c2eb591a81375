//! Every request shape that firmware is known to send, and those that it should not.

use warppool_components::job::JobId;
use warppool_components::limits::{CONFIGURE_EXTENSIONS_MAX, LINE_BYTES_MAX};
use warppool_components::reject::Reject;
use warppool_components::share::ShareClaim;
use warppool_net::wire::v1::{Configure, Fault, Request, SubmitError, VersionRolling, parse, scan_submit, session_id};

fn request(line: &str) -> Request<'_> {
    parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}")).request
}

fn claim(job: u32, extranonce2: u64, digits: u8, ntime: u32, nonce: u32, version: Option<u32>) -> ShareClaim {
    let extranonce2 = extranonce2.to_be_bytes();
    ShareClaim {
        job: JobId(job),
        extranonce2,
        extranonce2_digits: digits,
        ntime,
        nonce,
        version,
        is_whole_version: false,
    }
}

/// Lines as the firmwares write them: name, line, id, user, claim.
fn submits() -> Vec<(&'static str, &'static str, &'static str, &'static str, ShareClaim)> {
    vec![
        (
            "AxeOS",
            r#"{"id": 7, "method": "mining.submit", "params": ["bc1qexample.axe", "1f", "00000000000000a1", "6720b6e1", "9e1f03b2", "0004c000"]}"#,
            "7",
            "bc1qexample.axe",
            claim(0x1f, 0xa1, 16, 0x6720_b6e1, 0x9e1f_03b2, Some(0x0004_c000)),
        ),
        (
            "NerdMiner v2",
            r#"{"id":3,"method":"mining.submit","params":["bc1qexample.nerd","2a","0000000000000001","6720b6e1","a1"]}"#,
            "3",
            "bc1qexample.nerd",
            claim(0x2a, 1, 16, 0x6720_b6e1, 0xa1, None),
        ),
        (
            "NerdMiner v2 with a short extranonce2",
            r#"{"id":3,"method":"mining.submit","params":["bc1qexample","2a","0002","6720b6e1","0xA1"]}"#,
            "3",
            "bc1qexample",
            claim(0x2a, 2, 4, 0x6720_b6e1, 0xa1, None),
        ),
        (
            "cgminer",
            r#"{"params": ["user.1", "ffffffff", "0100000000000000", "5f5e1000", "deadbeef"], "id": 1234, "method": "mining.submit"}"#,
            "1234",
            "user.1",
            claim(u32::MAX, 1 << 56, 16, 0x5f5e_1000, 0xdead_beef, None),
        ),
        (
            "cpuminer",
            r#"{"method": "mining.submit", "params": ["user", "1", "0000000000000000", "5f5e1000", "00000001"], "id":4}"#,
            "4",
            "user",
            claim(1, 0, 16, 0x5f5e_1000, 1, None),
        ),
        (
            "bmminer",
            r#"{"params": ["user.s19", "b", "0a0b0c0d0e0f1011", "5f5e1000", "00c0ffee", "00c00000"], "id": 88, "method": "mining.submit"}"#,
            "88",
            "user.s19",
            claim(0xb, 0x0a0b_0c0d_0e0f_1011, 16, 0x5f5e_1000, 0x00c0_ffee, Some(0x00c0_0000)),
        ),
        (
            "Braiins OS",
            r#"{"id":12,"method":"mining.submit","params":["user.bos","0C","0000000000000abc","5F5E1000","C0FFEE00","1fffe000"]}"#,
            "12",
            "user.bos",
            claim(0xc, 0xabc, 16, 0x5f5e_1000, 0xc0ff_ee00, Some(0x1fff_e000)),
        ),
        (
            "text id, tabs and spaces",
            "  {\t\"id\" : \"a-1\" , \"method\":\"mining.submit\",\"params\" :[ \"u\" , \"1\",\"00\",\"1\",\"1\" ] } \t",
            "\"a-1\"",
            "u",
            claim(1, 0, 2, 1, 1, None),
        ),
    ]
}

#[test]
fn each_firmware_s_submit_takes_the_fast_path_and_means_the_same_on_both() {
    for (name, line, id, username, claim) in submits() {
        let submit = scan_submit(line.as_bytes()).unwrap_or_else(|| panic!("{name} leaves the fast path"));
        assert_eq!((submit.id, submit.username, submit.claim), (id.as_bytes(), username.as_bytes(), claim), "{name}");
        let message = parse(line.as_bytes()).expect(name);
        assert_eq!(message.id.as_deref(), Some(id.as_bytes()), "{name}");
        assert_eq!(message.request, Request::Submit { username: username.into(), claim: Ok(claim) }, "{name}");
    }
}

#[test]
fn odd_but_good_submits_are_read_by_the_general_parser() {
    let expected = claim(1, 2, 16, 3, 4, None);
    for line in [
        r#"{"jsonrpc":"2.0","id":1,"method":"mining.submit","params":["u","1","0000000000000002","3","4"]}"#,
        r#"{"id":1,"method":"mining.submit","params":["u","1","0000000000000002","3","4",null]}"#,
        r#"{"id":1,"method":"mining.submit","params":["u","1","0000000000000002","3","4","","extra",{"a":[]}]}"#,
        r#"{"id":1,"method":"mining.submit","params":["\u0075","1","0000000000000002","3","4"]}"#,
        r#"{"id":1,"\u006dethod":"mining.submit","params":["u","1","0000000000000002","3","4"]}"#,
        r#"{"id":9,"method":"mining.ping","params":[],"id":1,"method":"mining.submit","params":["u","1","0000000000000002","3","4"]}"#,
    ] {
        assert_eq!(scan_submit(line.as_bytes()), None, "{line}");
        assert_eq!(request(line), Request::Submit { username: "u".into(), claim: Ok(expected) }, "{line}");
        assert_eq!(parse(line.as_bytes()).expect(line).id.as_deref(), Some(&b"1"[..]), "{line}");
    }
}

#[test]
fn a_job_id_that_cannot_be_ours_is_job_zero() {
    for job in ["", "xyz", "123456789", "0x1", "0", "ünü"] {
        let line = format!(r#"{{"id":1,"method":"mining.submit","params":["u","{job}","00","1","1"]}}"#);
        let Request::Submit { claim: Ok(claim), .. } = request(&line) else { panic!("{line}") };
        assert_eq!(claim.job, JobId(0), "{line}");
    }
}

#[test]
fn a_submit_that_cannot_be_a_share_says_why_and_keeps_the_username() {
    let cases = [
        (r#"["u"]"#, SubmitError::NotText("job"), Reject::Malformed),
        (r#"["u",1,"00","1","1"]"#, SubmitError::NotText("job"), Reject::Malformed),
        (r#"["u","1","00","1"]"#, SubmitError::NotText("nonce"), Reject::Malformed),
        (r#"["u","1","00",1,"1"]"#, SubmitError::NotText("ntime"), Reject::Malformed),
        (r#"["u","1","00","1","123456789"]"#, SubmitError::NotANumber("nonce"), Reject::Malformed),
        (r#"["u","1","00","","1"]"#, SubmitError::NotANumber("ntime"), Reject::Malformed),
        (r#"["u","1","00","1","1","1fffe00g"]"#, SubmitError::NotANumber("version"), Reject::Malformed),
        (r#"["u","1","00","1","1",5]"#, SubmitError::NotText("version"), Reject::Malformed),
        (r#"["u","1","0x","1","1"]"#, SubmitError::Extranonce2NotHexadecimal, Reject::Malformed),
        (r#"["u","1","00000000000000001","1","1"]"#, SubmitError::Extranonce2TooLong(17), Reject::Extranonce2Size),
    ];
    for (params, error, reject) in cases {
        let line = format!(r#"{{"id":1,"method":"mining.submit","params":{params}}}"#);
        assert_eq!(scan_submit(line.as_bytes()), None, "{line}");
        assert_eq!(request(&line), Request::Submit { username: "u".into(), claim: Err(error) }, "{line}");
        assert_eq!(error.reject(), reject);
    }
    for params in ["[]", "null", "{}", "[7]", "5", "\"x\""] {
        let line = format!(r#"{{"id":1,"method":"mining.submit","params":{params}}}"#);
        let claim = Err(SubmitError::NotText("worker"));
        assert_eq!(request(&line), Request::Submit { username: "".into(), claim }, "{line}");
    }
}

#[test]
fn subscribe_and_authorize_of_each_firmware() {
    let subscribe = |user_agent: &'static str, session: Option<&'static str>| Request::Subscribe {
        user_agent: user_agent.into(),
        session: session.map(Into::into),
    };
    let authorize = |username: &'static str, password: &'static str| Request::Authorize {
        username: username.into(),
        password: password.into(),
    };
    let cases = [
        (
            r#"{"id": 2, "method": "mining.subscribe", "params": ["bitaxe/BM1370/v2.9.0"]}"#,
            subscribe("bitaxe/BM1370/v2.9.0", None),
        ),
        (
            r#"{"id": 1, "method": "mining.subscribe", "params": ["NerdMinerV2/V1.8.2"]}"#,
            subscribe("NerdMinerV2/V1.8.2", None),
        ),
        (
            r#"{"id": 0, "method": "mining.subscribe", "params": ["cgminer/4.11.1", "00000000000000ab"]}"#,
            subscribe("cgminer/4.11.1", Some("00000000000000ab")),
        ),
        (r#"{"id": 1, "method": "mining.subscribe", "params": []}"#, subscribe("", None)),
        (r#"{"id": 1, "method": "mining.subscribe"}"#, subscribe("", None)),
        (r#"{"id": 1, "method": "mining.subscribe", "params": null}"#, subscribe("", None)),
        (r#"{"id": 1, "method": "mining.subscribe", "params": {}}"#, subscribe("", None)),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["NiceHash/1.0.0", null, "pool.example", 3333]}"#,
            subscribe("NiceHash/1.0.0", None),
        ),
        (r#"{"params": ["bc1q.w", "d=512"], "id": 2, "method": "mining.authorize"}"#, authorize("bc1q.w", "d=512")),
        (r#"{"id":2,"method":"mining.authorize","params":["bc1q.w"]}"#, authorize("bc1q.w", "")),
        (r#"{"id":2,"method":"mining.authorize","params":["bc1q.w",null]}"#, authorize("bc1q.w", "")),
        (r#"{"id":2,"method":"mining.authorize","params":["w\u00f6rk\"er","x"]}"#, authorize("wörk\"er", "x")),
    ];
    for (line, expected) in cases {
        assert_eq!(request(line), expected, "{line}");
        assert_eq!(scan_submit(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn other_methods_are_known_by_name_whatever_their_parameters() {
    let cases = [
        (r#"{"id":5,"method":"mining.extranonce.subscribe","params":[]}"#, Request::ExtranonceSubscribe),
        (r#"{"id":5,"method":"mining.ping"}"#, Request::Ping),
        (r#"{"id":5,"method":"client.get_version","params":[]}"#, Request::GetVersion),
        (r#"{"id":5,"method":"mining.multi_version","params":[1]}"#, Request::MultiVersion),
        (r#"{"id":5,"result":"pong","error":null}"#, Request::Response),
        (r#"{"result":"pong"}"#, Request::Response),
        (r#"{"id":5,"method":"pong","params":[]}"#, Request::Response),
        (r#"{"id":5,"method":"mining.pong"}"#, Request::Response),
        (r#"{"id":5,"error":null,"result":true,"method":null}"#, Request::Response),
    ];
    for (line, expected) in cases {
        assert_eq!(request(line), expected, "{line}");
    }
}

#[test]
fn defect_03_a_suggested_difficulty_may_be_tiny() {
    let value = |line: &str| match request(line) {
        Request::SuggestDifficulty(difficulty) | Request::SuggestTarget(difficulty) => {
            difficulty.ok().map(|difficulty| difficulty.value())
        }
        other => panic!("{other:?}"),
    };
    let difficulties = [
        ("[0.00015]", Some(0.00015)),
        ("[1000]", Some(1000.0)),
        ("[1e3, 5]", Some(1000.0)),
        ("[\"512\"]", Some(512.0)),
        ("[0]", None),
        ("[-1]", None),
        ("[1e999]", None),
        ("[\"nan\"]", None),
        ("[null]", None),
        ("[[1]]", None),
        ("[]", None),
        ("null", None),
    ];
    for (params, expected) in difficulties {
        let line = format!(r#"{{"id":1,"method":"mining.suggest_difficulty","params":{params}}}"#);
        assert_eq!(value(&line), expected, "{line}");
    }
    let targets = [
        ("00000000ffff0000000000000000000000000000000000000000000000000000", Some(1.0)),
        ("0xffff0000000000000000000000000000000000000000000000000000", Some(1.0)),
        ("000000003fffc000000000000000000000000000000000000000000000000000", Some(4.0)),
        ("0", None),
        ("", None),
        ("xyz", None),
        ("000000000ffff0000000000000000000000000000000000000000000000000000", None),
    ];
    for (target, expected) in targets {
        let line = format!(r#"{{"id":1,"method":"mining.suggest_target","params":["{target}"]}}"#);
        assert_eq!(value(&line), expected, "{line}");
    }
}

#[test]
fn configure_of_each_firmware() {
    let rolling = |mask| Configure { version_rolling: Some(VersionRolling { mask }), ..Configure::default() };
    let minimum = |value| warppool_components::units::Difficulty::new(value).expect("positive");
    let nicehash = Configure {
        minimum_difficulty: Some(Some(minimum(524_288.0))),
        subscribe_extranonce: true,
        ..rolling(0x1fff_e000)
    };
    let cases = [
        (r#"[["version-rolling"],{"version-rolling.mask":"ffffffff"}]"#, rolling(u32::MAX)),
        (
            r#"[["version-rolling"],{"version-rolling.min-bit-count":2,"version-rolling.mask":"00c00000"}]"#,
            rolling(0x00c0_0000),
        ),
        (
            r#"[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":"a \"lot\""}]"#,
            rolling(0x1fff_e000),
        ),
        (r#"[["version-rolling"],{}]"#, rolling(u32::MAX)),
        (r#"[["version-rolling"]]"#, rolling(u32::MAX)),
        (r#"[["version-rolling"],null]"#, rolling(u32::MAX)),
        (r#"[["version-rolling"],{"version-rolling.mask":5}]"#, rolling(u32::MAX)),
        (
            r#"[["minimum-difficulty","version-rolling","subscribe-extranonce"],{"minimum-difficulty.value":524288,"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":16}]"#,
            nicehash,
        ),
        (
            r#"[["minimum-difficulty"],{"minimum-difficulty.value":"much"}]"#,
            Configure { minimum_difficulty: Some(None), ..Configure::default() },
        ),
        (
            r#"[["info","tls","tls",3,"\"odd\""],{"info.hw-id":"x","info.sw-version":"1"}]"#,
            Configure { info: true, unknown: vec!["tls".into(), "\"odd\"".into()], ..Configure::default() },
        ),
        ("[]", Configure::default()),
        ("[[]]", Configure::default()),
        ("null", Configure::default()),
        ("{}", Configure::default()),
    ];
    for (params, expected) in cases {
        let line = format!(r#"{{"id":0,"method":"mining.configure","params":{params}}}"#);
        assert_eq!(request(&line), Request::Configure(expected), "{line}");
    }
    let many: Vec<String> = (0..=CONFIGURE_EXTENSIONS_MAX).map(|index| format!("\"x{index}\"")).collect();
    for (params, fault) in
        [("[5]".to_owned(), Fault::Configure), (format!("[[{}]]", many.join(",")), Fault::ConfigureTooMany)]
    {
        let line = format!(r#"{{"id":3,"method":"mining.configure","params":{params}}}"#);
        let error = parse(line.as_bytes()).expect_err(&line);
        assert_eq!((error.id.as_deref(), error.fault), (Some(&b"3"[..]), fault));
    }
}

#[test]
fn ids_come_back_byte_for_byte() {
    for id in
        ["1", "0", "-7", "1.50", "1e3", "null", "true", "\"\"", "\"a\\u0041\\\"\"", "18446744073709551617123", "\"ü\""]
    {
        let line = format!(r#"{{"method":"mining.ping","id": {id} ,"params":[]}}"#);
        assert_eq!(parse(line.as_bytes()).expect(id).id.as_deref(), Some(id.as_bytes()));
    }
    assert_eq!(parse(br#"{"method":"mining.ping","params":[]}"#).expect("a notification").id, None);
}

#[test]
fn defect_07_unknown_methods_are_known_as_such() {
    for index in 0..20 {
        let line = format!(r#"{{"id":{index},"method":"mining.unheard_of_{index}","params":[[[]]]}}"#);
        let message = parse(line.as_bytes()).expect("a request");
        assert_eq!(message.id.as_deref(), Some(index.to_string().as_bytes()));
        assert_eq!(message.request, Request::Unknown { method: format!("mining.unheard_of_{index}").into() });
    }
}

#[test]
fn what_is_no_request_is_refused_with_the_id_where_there_is_one() {
    let long_id = format!(r#"{{"id":"{}","method":"mining.ping"}}"#, "a".repeat(70));
    let cases: [(&[u8], Option<&str>, Fault); 13] = [
        (b"", None, Fault::NotAnObject(0)),
        (b"GET / HTTP/1.1", None, Fault::NotAnObject(1)),
        (b"[]", None, Fault::NotAnObject(0)),
        (br#"{"id":5,"method":"mining.authorize","params":["a"#, Some("5"), Fault::NotAnObject(48)),
        (br#"{"params":["\"id\":1",{"id":2}], "id" : "x\"y", oops}"#, Some("\"x\\\"y\""), Fault::NotAnObject(49)),
        (br#"{"id":01,"method":"mining.ping"}"#, None, Fault::NotAnObject(8)),
        (br#"{"id":1,"method":"mining.ping"} {"id":2}"#, Some("1"), Fault::NotAnObject(33)),
        (b"{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"\xff\"]}", Some("1"), Fault::NotUtf8(47)),
        (br#"{"id":1}"#, Some("1"), Fault::NoMethod),
        (br#"{"id":1,"method":5}"#, Some("1"), Fault::NoMethod),
        (br#"{"id":1,"method":"mining.authorize","params":[]}"#, Some("1"), Fault::Authorize),
        (br#"{"id":[1],"method":"mining.ping"}"#, None, Fault::IdNotScalar),
        (long_id.as_bytes(), None, Fault::IdTooLong),
    ];
    for (line, id, fault) in cases {
        let text = String::from_utf8_lossy(line);
        let error = parse(line).expect_err(&text);
        assert_eq!(error.id.as_deref(), id.map(str::as_bytes), "{text}");
        assert_eq!(std::mem::discriminant(&error.fault), std::mem::discriminant(&fault), "{text}: {error}");
        if fault != Fault::NotAnObject(0) {
            assert_eq!(error.fault, fault, "{text}");
        }
        assert_eq!(scan_submit(line), None, "{text}");
    }
}

#[test]
fn deep_nesting_neither_overflows_the_stack_nor_hides_the_method() {
    let depth = LINE_BYTES_MAX / 2 - 100;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let line = format!(r#"{{"id":1,"x":{deep},"method":"mining.ping"}}"#);
    assert_eq!(request(&line), Request::Ping);
    let line = format!(r#"{{"id":1,"method":"mining.subscribe","params":{deep}}}"#);
    assert!(matches!(request(&line), Request::Subscribe { .. }));
    let open = format!(r#"{{"id":1,"method":{}"#, "{\"a\":".repeat(3000));
    assert_eq!(parse(open.as_bytes()).expect_err("unfinished").id.as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_session_id_is_sixteen_digits() {
    assert_eq!(session_id("00000000000000ab"), Some(0xab));
    assert_eq!(session_id("ffffffffffffffff"), Some(u64::MAX));
    for other in ["", "ab", "00000000000000ag", "000000000000000ab"] {
        assert_eq!(session_id(other), None);
    }
}

#[test]
fn passwords_stay_out_of_debug_text() {
    let debug = format!("{:?}", request(r#"{"id":2,"method":"mining.authorize","params":["user","hunter2"]}"#));
    assert!(debug.contains("user") && !debug.contains("hunter2"), "{debug}");
}
