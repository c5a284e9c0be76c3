// An MCP server behind mcp-broker, in C# without any library: mono Host.exe http://127.0.0.1:8765 token-file
//
// One thread works, as an editor's main thread does, with one round trip for each call: the answer goes out with the request
// for more. Another thread pings, so that a long call does not read as death. mcp-transport-broker/PROTOCOL.md has the wire.
using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Web.Script.Serialization;
using Fields = System.Collections.Generic.Dictionary<string, object>;

sealed class Host {
    static JavaScriptSerializer Json => new JavaScriptSerializer { MaxJsonLength = 1 << 30, RecursionLimit = 512 };
    static readonly HttpClient Http = new HttpClient(new HttpClientHandler { UseProxy = false });
    readonly string url, tokenFile, instance = Guid.NewGuid().ToString("N");
    readonly List<Fields> inbox = new List<Fields>();   // given to us, not begun
    readonly List<Fields> answers = new List<Fields>(); // not known to have arrived
    volatile string token, lease, former;
    int pingEvery = 5000;

    Host(string url, string tokenFile) { this.url = url.TrimEnd('/') + "/_broker/v1/"; this.tokenFile = tokenFile; }

    static void Main(string[] args) {
        System.Net.ServicePointManager.DefaultConnectionLimit = 8;
        var host = new Host(args[0], args[1]);
        Console.CancelKeyPress += (sender, key) => { key.Cancel = true; host.Leave(); };
        new Thread(host.Ping) { IsBackground = true }.Start();
        for (var failures = 0; ; failures++) {
            try {
                if (host.lease == null) host.Attach();
                host.Exchange();
                failures = -1;
            } catch (Exception e) { // it refused, or it is away, or its answer is lost
                Console.Error.WriteLine(e.GetBaseException().Message);
                host.lease = null;
                Thread.Sleep(Math.Min(failures * failures, 30) * 1000);
            }
        }
    }

    // Attaches; what came on the former lease is still done and answered, where somebody waits for it.
    void Attach() {
        var ours = inbox.Concat(answers).Select(it => it["ticket"]).ToList();
        var said = new Fields { { "protocol", 1 }, { "window", 64 }, { "holds_connection", true },
            { "reason", former == null ? "start" : "reconnect" }, { "host", new Fields { { "name", "csharp-host" },
                { "version", "0.1.0" }, { "project", Environment.CurrentDirectory }, { "instance", instance } } } };
        if (former != null) said["former"] = new Fields { { "lease", former }, { "received", ours }, { "coming", ours } };
        Prove(token = File.ReadAllText(tokenFile).Trim()); // each broker may have its own
        var granted = Post("attach", said);
        var wanted = granted.ContainsKey("former") ? (ArrayList)((Fields)granted["former"])["coming"] : new ArrayList();
        lock (inbox) inbox.RemoveAll(it => !wanted.Contains(it["ticket"]));
        answers.RemoveAll(it => !wanted.Contains(it["ticket"]));
        pingEvery = Convert.ToInt32(granted["ping_ms"]);
        lease = former = (string)granted["lease"];
        Console.WriteLine("attached");
    }

    // Whoever listens there must know the token before it is sent it.
    void Prove(string token) {
        var nonce = Guid.NewGuid().ToString("N");
        var hello = Json.Deserialize<Fields>(Http.GetStringAsync(url + "hello?nonce=" + nonce).Result);
        var said = "mcp-broker hello 1\n" + new Uri(url).Port + "\n" + nonce + "\n";
        var proof = new HMACSHA256(Encoding.UTF8.GetBytes(token)).ComputeHash(Encoding.UTF8.GetBytes(said));
        if (BitConverter.ToString(proof).Replace("-", "").ToLowerInvariant() != (string)hello["proof"])
            throw new Exception("Another program listens at " + url);
    }

    // Gives what is done, takes what there is, and works on the first.
    void Exchange() {
        var pull = new Fields { { "max", 64 }, { "wait_ms", inbox.Count == 0 ? 25000 : 0 } };
        var pushed = Post("push", new Fields { { "items", answers }, { "pull", pull } });
        answers.Clear();
        Fields next;
        lock (inbox) {
            foreach (Fields item in (ArrayList)pushed["items"]) {
                if (item.ContainsKey("cancel")) inbox.RemoveAll(it => Equals(it["ticket"], item["ticket"]));
                else if (item.ContainsKey("gone")) inbox.RemoveAll(it => Equals(it["client"], item["client"]));
                else if (item.ContainsKey("ticket")) inbox.Add(item); // the rest needs no answer
            }
            next = inbox.FirstOrDefault();
            if (next == null) return;
            inbox.RemoveAt(0);
        }
        var message = (Fields)next["message"];
        var answer = new Fields { { "jsonrpc", "2.0" }, { "id", message["id"] } };
        try {
            answer["result"] = Serve((string)message["method"], message.ContainsKey("params") ? (Fields)message["params"] : null);
        } catch (Exception e) { // no such method, or a wrong argument
            answer["error"] = new Fields { { "code", e is NotSupportedException ? -32601 : -32602 }, { "message", e.Message } };
        }
        answers.Add(new Fields { { "ticket", next["ticket"] }, { "message", answer } });
    }

    static Fields Serve(string method, Fields given) {
        var result = new Fields { { "resultType", "complete" }, { "ttlMs", 0 }, { "cacheScope", "private" } }; // for 2026-07-28
        if (method == "initialize" || method == "server/discover") {
            result["protocolVersion"] = "2025-11-25";
            result["supportedVersions"] = new[] { "2025-11-25", "2026-07-28" };
            result["capabilities"] = new Fields { { "tools", new Fields() } };
            result["serverInfo"] = new Fields { { "name", "csharp-host" }, { "version", "0.1.0" } };
        } else if (method == "tools/list") {
            result["tools"] = new[] { Tool("add", "number", "a", "b"), Tool("echo", "string", "text") };
        } else if (method == "tools/call") {
            var text = Call((string)given["name"], (Fields)given["arguments"]);
            result["content"] = new[] { new Fields { { "type", "text" }, { "text", text } } };
        } else if (method != "ping") throw new NotSupportedException(method);
        return result;
    }

    static string Call(string tool, Fields arguments) {
        if (tool == "add") return Json.Serialize(Convert.ToDecimal(arguments["a"]) + Convert.ToDecimal(arguments["b"]));
        if (tool == "echo") return (string)arguments["text"];
        throw new ArgumentException("There is no tool " + tool + ". See tools/list.");
    }

    static Fields Tool(string name, string type, params string[] arguments) {
        var properties = arguments.ToDictionary(it => it, it => new Fields { { "type", type } });
        return new Fields { { "name", name }, { "inputSchema", new Fields {
            { "type", "object" }, { "properties", properties }, { "required", arguments } } } };
    }

    void Ping() {
        for (; ; Thread.Sleep(pingEvery))
            try { if (lease != null) Post("ping", new Fields()); }
            catch (Exception e) { Console.Error.WriteLine("ping: " + e.GetBaseException().Message); } // the worker finds out
    }

    void Leave() {
        lock (inbox) { // for good: nothing begins any more
            var said = new Fields { { "reason", "shutting_down" }, { "untouched", inbox.Select(it => it["ticket"]).ToList() } };
            try { Post("detach", said); } finally { Environment.Exit(0); }
        }
    }

    Fields Post(string path, Fields body) {
        var text = new StringContent(Json.Serialize(body), Encoding.UTF8, "application/json");
        var request = new HttpRequestMessage(HttpMethod.Post, url + path) { Content = text };
        request.Headers.Add("Authorization", "Bearer " + token);
        if (lease != null) request.Headers.Add("MCP-Broker-Lease", lease);
        var response = Http.SendAsync(request).Result;
        var answer = Json.Deserialize<Fields>(response.Content.ReadAsStringAsync().Result);
        if (response.IsSuccessStatusCode) return answer;
        throw new Exception(answer["error"] + ": " + answer["message"]);
    }
}
