#!/usr/bin/env python3
"""What the Python server for Unity does wrong, and ours does not: one scene for each defect, played with both.

A scene says what went wrong, or nothing, and beside it stands what the Python server's damage looks like. That must be seen, so
that we hear of it when upstream mends it: then this stage fails, and says which scene to drop. Each scene plays on the leg where
its defect shows: with an editor that listens (the server in its stdio mode), or with one that connects to the server's hub.
"""

import asyncio
import contextlib
import re

from common import Failed, check, inside_venv, main, scratch

inside_venv("python_server.txt")

from standin import Bridge, Editor, Ours, Plugin, Theirs, http_client, serving, success, with_pipes  # noqa: E402

MENU = "execute_menu_item"

# How long the editor works on the slow command, and how much later than that one the second call comes: the Python server looks
# for editors again, by connecting to each, when 5 s have passed since it last did.
SLOW, SECOND_AFTER = 12, 5.6

# How long the status file says that the editor reloads.
AWAY = 6

# Far more than a server needs that was told to wait for 1 s.
LONG = 15


def theirs(damage):
    """What becomes of this scene with the Python server, as a pattern of what the scene says."""

    def mark(scene):
        scene.damage = damage
        return scene

    return mark


OFTEN = r"sent ([2-9]|\d\d+) times"


class Stage:
    """Where a scene plays: a client of the server, the editor, and the leg between."""

    def __init__(self, client, editor, leg, url=None):
        self.client, self.editor, self.leg, self.url = client, editor, leg, url

    def answers(self, command, answer):
        """The editor answers this command so: by a function of its parameters, which may take its time."""

        async def scripted(name, params):
            return await answer(params) if name == command else self.editor.usual(name, params)

        self.editor.answer = scripted

    def message(self, command, text):
        async def answer(_params):
            return success({"success": True, "message": text})

        self.answers(command, answer)

    def once(self, answer, command, **some):
        """Nothing, if this was sent once, and the caller has heard that it succeeded."""
        times = self.editor.heard(command, **some)
        if times == 1 and not answer.failed:
            return None
        return f"it was sent {times} times, and its caller is told that it {answer}"


# --- with an editor that listens


@theirs(OFTEN)
async def a_command_is_sent_once_whatever_its_answer_says(stage):
    stage.message(MENU, "Scene reloaded from disk")
    return stage.once(await stage.client.call(MENU, menu_path="File/Revert"), MENU)


@theirs(OFTEN)
async def a_menu_item_with_reload_in_its_name_runs_once(stage):
    # The plugin quotes the item in its answer.
    stage.message(MENU, "Ran the menu item 'Tools/Reload Config'.")
    return stage.once(await stage.client.call(MENU, menu_path="Tools/Reload Config"), MENU)


@theirs(OFTEN)
async def an_error_is_an_answer(stage):
    async def fails(_params):
        return {"status": "error", "error": "the item threw", "command": MENU, "stackTrace": None}

    stage.answers(MENU, fails)
    answer = await stage.client.call(MENU, menu_path="Tools/Throws")
    times = stage.editor.heard(MENU)
    if times == 1 and answer.failed and "the item threw" in answer.text:
        return None
    return f"it was sent {times} times, and its caller is told that it {answer}"


@theirs(OFTEN)
async def a_second_call_never_cuts_the_first(stage):
    async def slow(params):
        await asyncio.sleep(SLOW if params["menuPath"] == "Slow" else 0)
        return success({"success": True, "message": "ran"})

    async def meanwhile():
        await asyncio.sleep(SECOND_AFTER)
        return await stage.client.call(MENU, menu_path="Meanwhile")

    stage.answers(MENU, slow)
    first, second = await asyncio.gather(stage.client.call(MENU, menu_path="Slow"), meanwhile())
    return stage.once(first, MENU, menuPath="Slow") or stage.once(second, MENU, menuPath="Meanwhile")


@theirs(r"while the editor still reloads, it was sent 0 times, and its caller is told that it succeeded")
async def a_refresh_asked_for_during_a_reload_is_sent(stage):
    stage.leg.away()
    call = asyncio.create_task(stage.client.call("refresh_unity", compile="request"))
    done, _ = await asyncio.wait({call}, timeout=AWAY)
    await stage.leg.back()
    verdict = stage.once(await call, "refresh_unity")
    return f"while the editor still reloads, {verdict}" if done and verdict else verdict


@theirs(r"sent 0 times.*Unity is reloading")
async def a_change_asked_for_during_a_reload_is_made_after_it(stage):
    stage.leg.away()
    call = asyncio.create_task(stage.client.call("create_script", path="Assets/Late.cs", contents="class Late {}"))
    await asyncio.sleep(AWAY)
    await stage.leg.back()
    return stage.once(await call, "manage_script", action="create")


# --- with an editor that connects


@theirs(r"sent 0 times.*No Unity Editor instances found")
async def a_script_is_edited_over_http(stage):
    source = "class Foo {\n  int a;\n}\n"

    async def script(params):
        if params["action"] in ("read", "get_sha"):
            return success({"success": True, "message": "read", "data": {"contents": source, "sha256": "aa"}})
        return stage.editor.usual("manage_script", params)

    stage.answers("manage_script", script)
    edit = {"op": "regex_replace", "pattern": "int", "text": "long"}
    answer = await stage.client.call("script_apply_edits", name="Foo", path="Assets", edits=[edit])
    return stage.once(answer, "manage_script", action="apply_text_edits")


@theirs(r"not listed: opt_first, after_it")
async def a_parameter_that_may_be_left_out_may_come_first(stage):
    listed = {tool.name for tool in (await stage.client.session.list_tools()).tools}
    missing = [tool["name"] for tool in OWN_TOOLS if tool["name"] not in listed]
    if missing:
        return f"these of the project's tools are not listed: {', '.join(missing)}"
    return stage.once(await stage.client.call("opt_first", text="a"), "opt_first", text="a")


@theirs(r"sent 1 times.*superseded by")
async def a_change_is_read_back_when_another_session_took_its_place(stage):
    """A reload that leaves half a connection behind: the editor has the script, and comes back on a second socket."""
    source, created = "class New {}", asyncio.Event()

    async def script(params):
        if params["action"] == "create":
            stage.leg.mute = True
            created.set()
        return success({"success": True, "message": "read", "data": {"contents": source}})

    stage.answers("manage_script", script)
    call = asyncio.create_task(stage.client.call("create_script", path="Assets/New.cs", contents=source))
    done, _ = await asyncio.wait({call, asyncio.create_task(created.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if call in done:
        return f"it never reached the editor: its caller is told that it {call.result()}"
    async with Plugin(stage.url, stage.editor, TOOLS):
        return stage.once(await call, "manage_script", action="create")


# --- with one that connects, and takes long


@theirs(r"told to call again")
async def a_caller_that_was_not_waited_for_is_not_told_to_call_again(stage):
    ran = asyncio.Event()

    async def slow(_params):
        await ran.wait()
        return success({"success": True, "message": "ran at last"})

    stage.answers(MENU, slow)
    answer = await stage.client.call(MENU, menu_path="Slow")
    ran.set()
    if answer.body.get("hint") == "retry" or answer.body.get("retryable"):
        return f"the item runs, and its caller is told to call again: it {answer}"
    operation = answer.body.get("operation_id")
    if not operation:
        return f"the item runs, and its caller has no name to ask for its result by: it {answer}"
    # The result is on its way.
    for _ in range(100):
        late = await stage.client.call("get_operation", operation_id=operation)
        if late.body.get("outcome") != "running":
            break
        await asyncio.sleep(0.1)
    return None if "ran at last" in late.text else f"the late result {late}"


# --- with none


@theirs(r"has not answered")
async def a_change_that_no_editor_is_there_for_is_answered_in_time(stage):
    call = asyncio.create_task(stage.client.call("create_script", path="Assets/Never.cs", contents="class Never {}"))
    done, _ = await asyncio.wait({call}, timeout=LONG)
    if not done:
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        return f"told to wait for 1 s, it has not answered after {LONG} s"
    answer = call.result()
    return None if answer.failed and answer.text else f"it {answer}"


OWN_TOOLS = [
    {
        "name": "opt_first",
        "description": "Has a parameter that may be left out before one that may not.",
        "parameters": [
            {"name": "times", "description": "how often", "type": "integer", "required": False},
            {"name": "text", "description": "what", "type": "string", "required": True},
        ],
    },
    {"name": "after_it", "description": "Comes after that one.", "parameters": []},
]

TOOLS = [{"name": name, "group": "core"} for name in ("manage_script", MENU)] + OWN_TOOLS


async def bridge(server, scenes):
    editor = Editor()
    async with Bridge(server.folder, editor) as leg:
        return await with_pipes(server, lambda client: play(Stage(client, editor, leg), scenes))


async def hub(server, scenes):
    editor = Editor()
    async with serving(server) as url, Plugin(url, editor, TOOLS) as leg:
        await leg.seated()
        async with http_client(url) as client:
            return await play(Stage(client, editor, leg, url), scenes)


async def nobody(server, scenes):
    async with serving(server) as url, http_client(url) as client:
        return await play(Stage(client, Editor(), None, url), scenes)


async def play(stage, scenes):
    verdicts = []
    for scene in scenes:
        stage.editor.sent = []
        try:
            async with asyncio.timeout(90):
                verdicts.append(await scene(stage))
        except TimeoutError:
            verdicts.append("it did not end within 90 s")
    return verdicts


# Each act is a server of each kind, of which all run at once; and the scenes in it one after the other. The Python server's waits
# are shortened where its environment can.
ACTS = [
    (
        bridge,
        [
            a_command_is_sent_once_whatever_its_answer_says,
            a_menu_item_with_reload_in_its_name_runs_once,
            an_error_is_an_answer,
            a_second_call_never_cuts_the_first,
            a_refresh_asked_for_during_a_reload_is_sent,
            a_change_asked_for_during_a_reload_is_made_after_it,
        ],
        {"UNITY_MCP_RELOAD_MAX_WAIT_S": "1", "UNITY_MCP_CONNECTION_TIMEOUT": "30"},
        [],
    ),
    (
        hub,
        [
            a_script_is_edited_over_http,
            a_parameter_that_may_be_left_out_may_come_first,
            a_change_is_read_back_when_another_session_took_its_place,
        ],
        {},
        [],
    ),
    (hub, [a_caller_that_was_not_waited_for_is_not_told_to_call_again], {}, ["--client-budget", "2"]),
    (
        nobody,
        [a_change_that_no_editor_is_there_for_is_answered_in_time],
        {"UNITY_MCP_SESSION_RESOLVE_MAX_WAIT_S": "1", "UNITY_MCP_SESSION_READY_WAIT_SECONDS": "1"},
        ["--hold", "1"],
    ),
]


async def run(folder):
    acts = [act(folder / str(number), *what) for number, what in enumerate(ACTS)]
    for (_, scenes, _, _), (python, ours) in zip(ACTS, await asyncio.gather(*acts), strict=True):
        for scene, defect, mine in zip(scenes, python, ours, strict=True):
            sentence = scene.__name__.replace("_", " ")
            check(mine is None, sentence, mine)
            if defect is None:
                raise Failed(f"{sentence}: in the Python server, too. Upstream mended it: drop the scene {scene.__name__}")
            check(re.search(scene.damage, defect), f"and not so in the Python server: {defect[:200]}", scene.damage)


async def act(folder, leg, scenes, env, flags):
    servers = Theirs(folder / "theirs", **env), Ours(folder / "ours", *flags)
    for server in servers:
        server.folder.mkdir(parents=True)
    return await asyncio.gather(*(leg(server, scenes) for server in servers))


def body():
    with scratch() as folder:
        asyncio.run(run(folder))


main(body)
