//! Whether containers can be run here, and what it takes.

use longshore::mock::Fault;
use longshore_tests::{
    Outcome,
    browser::Page,
    house::{Engine, House, Trials},
    house_trials,
};

pub(crate) fn tests(trials: &mut Trials) {
    house_trials!(trials, Engine::ALL; the_engine_is_named_and_no_other);
    house_trials!(trials, [Engine::Mock];
        a_machine_is_set_up_and_told,
        a_set_up_is_cancelled,
        one_that_fails_says_why_and_is_tried_again,
        a_machine_that_stops_is_seen,
        without_an_engine_it_says_how_to_get_one,
    );
    house_trials!(trials, [Engine::Docker]; one_that_comes_is_found);
}

async fn the_engine_is_named_and_no_other(house: &mut House) -> Outcome {
    house.start().await?;
    let page = Page::open(house).await?;
    let (own, others) = match house.engine {
        Engine::Mock => ("Engine in memory", ["podman", "docker"]),
        Engine::Podman => ("Podman", ["docker", "memory"]),
        Engine::Docker => ("Docker", ["podman", "memory"]),
    };
    page.says("#runtime", own).await?;
    page.until("/\\d+\\.\\d+/.test(document.querySelector('#runtime').textContent)").await?;
    let text = page.run("return document.body.innerText.toLowerCase()").await?.to_string();
    for other in others {
        assert!(!text.contains(other), "{text}");
    }
    page.close().await
}

async fn a_machine_is_set_up_and_told(house: &mut House) -> Outcome {
    // Slow enough that a browser sees the steps of it.
    house.in_machine(4)?;
    house.start().await?;
    let page = Page::open(house).await?;
    page.says("#runtime", "needs a virtual machine").await?;
    for told in ["about 1 GB", "containers/podman/machine", "100 GiB of disk", "2048 MiB of memory"] {
        page.says("#runtime", told).await?;
    }
    page.picture("set-up-needed").await?;
    page.press("Set it up").await?;
    page.until("document.querySelector('#runtime progress')?.value > 0").await?;
    page.until("/\\d.* of \\d+.* at \\d.*\\/s, \\d+ (s|min) left/.test(document.querySelector('#runtime').textContent)").await?;
    page.picture("set-up").await?;
    // The button stays the same one, under the finger and with the focus.
    page.run("window.button = document.querySelector('#runtime button'); button.focus()").await?;
    let first = page.run("return document.querySelector('#runtime progress').value").await?;
    page.until(&format!("document.querySelector('#runtime progress')?.value > {first}")).await?;
    assert_eq!(page.run("return window.button === document.activeElement").await?, true);
    page.says("#runtime", "in its machine, which is running").await?;
    // Nothing was lost with it.
    page.until("document.activeElement !== document.body").await?;
    page.close().await
}

async fn a_set_up_is_cancelled(house: &mut House) -> Outcome {
    house.in_machine(1)?;
    house.start().await?;
    let page = Page::open(house).await?;
    page.press("Set it up").await?;
    page.until("document.querySelector('#runtime progress')").await?;
    page.press("Cancel").await?;
    page.until("document.querySelector('#runtime button')?.textContent === 'Set it up'").await?;
    page.says_not("#runtime", "cancelled").await?;
    page.close().await
}

async fn one_that_fails_says_why_and_is_tried_again(house: &mut House) -> Outcome {
    house.in_machine(100)?;
    let full = longshore::Error::NotPermitted { what: "the disk".into(), reason: "it is full".into() };
    house.mock()?.script("machine_init", 1, Fault::Fail(full));
    house.start().await?;
    let page = Page::open(house).await?;
    page.press("Set it up").await?;
    page.says("#runtime .error", "it is full").await?;
    page.picture("set-up-failed").await?;
    page.press("Try again").await?;
    page.says("#runtime", "in its machine, which is running").await?;
    page.close().await
}

async fn a_machine_that_stops_is_seen(house: &mut House) -> Outcome {
    let machine = house.in_machine(100)?;
    house.start().await?;
    house.agent("scout").await?;
    let page = Page::open(house).await?;
    page.says("#runtime", "running").await?;
    machine.kill();
    page.says("#runtime", "virtual machine is off").await?;
    page.says("[data-agent=scout] .state", "stopped").await?;
    page.press("Start it").await?;
    page.says("#runtime", "running").await?;
    page.close().await
}

async fn without_an_engine_it_says_how_to_get_one(house: &mut House) -> Outcome {
    let in_memory = house.without_engine().await?;
    house.start().await?;
    let page = Page::open(house).await?;
    page.says("#runtime", "Containers cannot run here").await?;
    page.says("#runtime code", "podman").await?;
    page.says_not("#runtime", "ocker").await?;
    page.picture("no-engine").await?;
    page.press("Look again").await?;
    page.says("#runtime", "Containers cannot run here").await?;
    // An agent is refused with the reason, beside the form.
    page.view("#/create").await?;
    page.until("document.querySelector('#field-provider').options.length > 0").await?;
    page.fill("#field-name", "scout").await?;
    page.fill("#field-model", "echo").await?;
    page.choose("#field-template", "test").await?;
    page.choose("#field-provider", "none").await?;
    page.press("Create").await?;
    page.says("form .error", "podman").await?;
    page.close().await?;
    house.stop().await?;
    house.runtime = in_memory;
    Ok(())
}

#[cfg(unix)]
async fn one_that_comes_is_found(house: &mut House) -> Outcome {
    // `auto`, where nothing listens yet.
    let socket = house.dir.path().join("engine.sock");
    house.config.runtime = None;
    house.config.host = Some(format!("unix://{}", socket.display()));
    house.start_looking().await?;
    let page = Page::open(house).await?;
    page.says("#runtime", "Containers cannot run here").await?;
    // The button is there, and finds nothing yet.
    page.press("Look again").await?;
    page.says("#runtime", "Containers cannot run here").await?;
    std::os::unix::fs::symlink("/var/run/docker.sock", &socket)?;
    // Unless the server has found it by itself just now.
    page.run(
        "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Look again')?.click()",
    )
    .await?;
    page.says("#runtime", "Docker").await?;
    page.until("!document.querySelector('#runtime .panel')").await?;
    // And it is used.
    house.agent("scout").await?;
    page.says("[data-agent=scout] .state", "running").await?;
    page.close().await?;
    house.stop().await?;
    house.config.host = None;
    house.config.runtime = Some(longshore::RuntimeChoice::Docker);
    Ok(())
}
